package sshclient

import "io/fs"

// keepOwner has nothing to do: a file belongs to who writes it.
func keepOwner(string, fs.FileInfo) {}

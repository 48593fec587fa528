//go:build !linux && !darwin

package watch

// remoteFileSystem knows of none here: Windows passes on what a server of
// shared folders tells.
func remoteFileSystem(string) string { return "" }

// Package interop proves that the clients that people have work with the
// agent: it starts the sidecar and the runner as processes of their own, and
// drives Debian's ssh, sftp, scp, rsync and sshfs against them. It installs
// nothing; test/packages does.
package interop

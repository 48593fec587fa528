//go:build linux

package runner

import (
	"errors"
	"fmt"
	"io"

	"github.com/pkg/sftp"
)

// ServeSFTP serves the file system of this process, as its user, on a pair of
// streams until the client ends. Relative paths start at the working directory
// of the process, not at one that the library is given: that would make the
// targets of relative symbolic links absolute.
func ServeSFTP(in io.Reader, out io.Writer) error {
	server, err := sftp.NewServer(duplex{in, out})
	if err != nil {
		return fmt.Errorf("starting the SFTP server: %w", err)
	}
	if err := server.Serve(); err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("serving SFTP: %w", err)
	}
	return nil
}

// duplex makes one stream of two.
type duplex struct {
	io.Reader
	io.Writer
}

// Close does nothing: the streams are those of the process and end with it.
func (duplex) Close() error { return nil }

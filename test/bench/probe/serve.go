package probe

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"
)

// verb is what a request asks for.
type verb string

const (
	verbHello verb = "hello" // which machine this is
	verbAwait verb = "await" // armed at once, and again when the edit is seen
	verbMake  verb = "make"  // make the edit
	verbSum   verb = "sum"   // the digest of the tree
)

// request and answer are lines of JSON.
type request struct {
	Verb verb `json:"verb"`
	Edit Edit `json:"edit"`
}

type answer struct {
	// Boot names the boot of the machine: two probes with the same one share
	// a clock.
	Boot string `json:"boot,omitempty"`
	// At is when the edit began, or was seen, in nanoseconds since 1970.
	At    int64  `json:"at,omitempty"`
	Tree  Tree   `json:"tree"`
	Error string `json:"error,omitempty"`
}

// patience bounds the wait for an edit.
const patience = time.Minute

// Serve answers requests about a root until in ends.
func Serve(root string, in io.Reader, out io.Writer) error {
	requests, answers := json.NewDecoder(in), json.NewEncoder(out)
	for {
		var r request
		if err := requests.Decode(&r); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return fmt.Errorf("reading a request: %w", err)
		}
		a, err := respond(root, r, func() error { return answers.Encode(answer{}) })
		if err != nil {
			a = answer{Error: err.Error()}
		}
		if err := answers.Encode(a); err != nil {
			return fmt.Errorf("answering: %w", err)
		}
	}
}

// respond carries a request out. armed tells that an edit may come now.
func respond(root string, r request, armed func() error) (answer, error) {
	switch r.Verb {
	case verbHello:
		boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
		if err != nil {
			boot = nil // another system: no clock is shared
		}
		return answer{Boot: string(boot)}, nil
	case verbAwait:
		seen, err := await(filepath.Dir(filepath.Join(root, r.Edit.Path)), armed, func() bool { return r.Edit.arrived(root) })
		return answer{At: seen.UnixNano()}, err
	case verbMake:
		change, err := r.Edit.prepare(root)
		if err != nil {
			return answer{}, err
		}
		began := time.Now()
		return answer{At: began.UnixNano()}, change()
	case verbSum:
		tree, err := sum(root)
		return answer{Tree: tree}, err
	}
	return answer{}, fmt.Errorf("no request is called %q", r.Verb)
}

package plugin

import (
	"context"
	"errors"
	"os"

	"github.com/kubectl-okteto/kubectl-okteto/plugin/control"
	"github.com/kubectl-okteto/kubectl-okteto/plugin/devsession"
	"github.com/kubectl-okteto/kubectl-okteto/plugin/manifest"
	"github.com/kubectl-okteto/kubectl-okteto/plugin/workload"
)

// hybridElsewhereError means that a command belongs where `up` runs in hybrid mode,
// which is not this machine.
type hybridElsewhereError struct{ notHereError }

func (e *hybridElsewhereError) Error() string {
	return "in hybrid mode a command runs where `up` does: " + e.notHereError.Error()
}

// hybrid tells whether the environment's command runs on a laptop.
func (a *active) hybrid() bool {
	return a.Clone.Annotations[workload.AnnotationMode] == string(manifest.ModeHybrid)
}

// hybridHere asks the `up` that runs on this machine for its local command: nil when
// none does, or it is not in hybrid mode. The cluster is not asked.
func (f *Factory) hybridHere(ctx context.Context, name string) (*devsession.Here, error) {
	cluster, err := f.Cluster()
	if err != nil {
		return nil, err
	}
	here, err := devsession.Control{Socket: f.controlSocket(cluster, name)}.Local(ctx)
	if errors.Is(err, control.ErrNoSession) {
		return nil, nil
	}
	return here, err
}

// files are the standard streams, as a process can have them; nil is none.
func (f *Factory) files() (in, out, errOut *os.File) {
	in, _ = f.Streams.In.(*os.File)
	out, _ = f.Streams.Out.(*os.File)
	errOut, _ = f.Streams.ErrOut.(*os.File)
	return in, out, errOut
}

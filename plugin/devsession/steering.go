package devsession

import (
	"context"
	"time"

	"github.com/kubectl-okteto/kubectl-okteto/plugin/control"
	"github.com/kubectl-okteto/kubectl-okteto/syncproto/engine"
)

// TrashBatch is what sync removed together on one side. It is what `sync undo
// --list -o json` prints.
type TrashBatch struct {
	// Local and Remote are the roots of the folder that it belongs to.
	Local  string `json:"local"`
	Remote string `json:"remote"`
	// Batch names it within its folder; Side is laptop or pod.
	Batch string `json:"batch"`
	Side  string `json:"side"`
	// Time is when it began.
	Time time.Time `json:"time"`
	// Entries and Bytes are what the trash holds of it, Paths a few of its
	// paths.
	Entries int      `json:"entries"`
	Bytes   int64    `json:"bytes"`
	Paths   []string `json:"paths"`
	// Why are the reasons: deleted, overwritten, first meeting, conflict, undo.
	Why []string `json:"why"`
	// Destructive is false where it only holds what edits of this machine
	// replaced in the pod.
	Destructive bool `json:"destructive"`
}

// Undone is what came of bringing a batch back. It is what `sync undo -o json`
// prints.
type Undone struct {
	Batch TrashBatch `json:"batch"`
	// Entries is how many are as they were before the batch, Failed how many
	// could not be restored, Failures some of them.
	Entries  int       `json:"entries"`
	Failed   int       `json:"failed"`
	Failures []Failure `json:"failures,omitempty"`
}

// Failure is a path that could not be restored, and why.
type Failure struct {
	Path   string `json:"path"`
	Reason string `json:"reason"`
}

// Pause stops sync until Resume, over lost connections too.
func (c Control) Pause(ctx context.Context) error { return c.call(ctx, methodPause, params{}, nil) }

// Resume ends a pause, and lets what a guard has stopped go on.
func (c Control) Resume(ctx context.Context) error { return c.call(ctx, methodResume, params{}, nil) }

// Trash returns what both sides' trashes hold of each folder, newest first.
func (c Control) Trash(ctx context.Context) ([]TrashBatch, error) {
	return one[[]TrashBatch](ctx, c, methodTrash, params{})
}

// Undo brings a batch of the folder back.
func (c Control) Undo(ctx context.Context, batch string) (Undone, error) {
	return one[Undone](ctx, c, methodUndo, params{Batch: batch})
}

func (s *Session) answerPause(_ context.Context, q question) error {
	for _, f := range q.folders {
		f.Leader.Pause()
	}
	return nil
}

func (s *Session) answerResume(_ context.Context, q question) error {
	for _, f := range q.folders {
		f.Leader.Resume()
	}
	return nil
}

func (s *Session) answerTrash(ctx context.Context, q question) error {
	list := []TrashBatch{}
	for _, f := range q.folders {
		batches, err := f.Leader.Trash(ctx)
		if err != nil {
			return err
		}
		for _, b := range batches {
			list = append(list, f.trashBatch(b))
		}
	}
	return q.reply(list)
}

func (s *Session) answerUndo(ctx context.Context, q question) error {
	if len(q.folders) != 1 || q.Batch == "" {
		return &control.Error{Code: control.CodeParams, Text: "an undo is of one batch in one folder"}
	}
	f := q.folders[0]
	got, err := f.Leader.Undo(ctx, q.Batch)
	if err != nil {
		return err
	}
	out := Undone{Batch: f.trashBatch(got.Batch), Entries: got.Entries, Failed: got.Failed}
	for _, failure := range got.Failures {
		out.Failures = append(out.Failures, Failure(failure))
	}
	return q.reply(out)
}

func (f *Folder) trashBatch(b engine.TrashBatch) TrashBatch {
	return TrashBatch{
		Local: f.Local, Remote: f.Remote, Batch: b.ID, Side: b.Side, Time: b.Time,
		Entries: b.Entries, Bytes: b.Bytes, Paths: b.Paths, Why: b.Why, Destructive: b.Destructive,
	}
}

package devsession

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/kubectl-okteto/kubectl-okteto/agent/config"
	"github.com/kubectl-okteto/kubectl-okteto/plugin/control"
	"github.com/kubectl-okteto/kubectl-okteto/syncproto/engine"
)

// Control asks the `up` that runs on this machine. Every method fails with
// control.ErrNoSession when there is none, and otherwise as control.Client.Call
// does.
type Control struct {
	// Socket is the path of the session's control socket.
	Socket string
	// Folder is the local or the remote path of the synced folder that is meant;
	// empty means all of them.
	Folder string
}

// Names of the methods.
const (
	methodPing   = "ping"
	methodFlush  = "flush"
	methodStatus = "status"
	methodTop    = "top"
	methodPause  = "pause"
	methodResume = "resume"
	methodTrash  = "trash"
	methodUndo   = "undo"
	methodLocal  = "local"
)

// params are the parameters of all methods; each reads those that it needs.
type params struct {
	// Folder names a synced folder by its path on either side; empty means all.
	Folder string `json:"folder,omitempty"`
	// Both lets a flush wait for what the pod has changed, too.
	Both bool `json:"both,omitempty"`
	// Watch lets a status go on at each change.
	Watch bool `json:"watch,omitempty"`
	// Limit bounds a list; 0 means the usual length.
	Limit int `json:"limit,omitempty"`
	// Batch names what an undo brings back.
	Batch string `json:"batch,omitempty"`
}

// Ping fails unless a session answers.
func (c Control) Ping(ctx context.Context) error { return c.call(ctx, methodPing, params{}, nil) }

// Flush waits until all that was saved on this machine before is applied in the
// pod, and with both the other way round too.
func (c Control) Flush(ctx context.Context, both bool) error {
	return c.call(ctx, methodFlush, params{Both: both}, nil)
}

// Status returns the state of sync.
func (c Control) Status(ctx context.Context) (SyncStatus, error) {
	return one[SyncStatus](ctx, c, methodStatus, params{})
}

// Watch reports the state of sync at once and at each change, until report
// fails, the session ends or ctx does.
func (c Control) Watch(ctx context.Context, report func(SyncStatus) error) error {
	return c.call(ctx, methodStatus, params{Watch: true}, func(m json.RawMessage) error {
		var s SyncStatus
		if err := json.Unmarshal(m, &s); err != nil {
			return fmt.Errorf("reading the session's status: %w", err)
		}
		return report(s)
	})
}

// Top returns what costs most in each folder, at most limit paths of each.
func (c Control) Top(ctx context.Context, limit int) ([]FolderUsage, error) {
	return one[[]FolderUsage](ctx, c, methodTop, params{Limit: limit})
}

func (c Control) call(ctx context.Context, method string, p params, each func(json.RawMessage) error) error {
	p.Folder = c.Folder
	return control.Client{Socket: c.Socket, Build: config.Version()}.Call(ctx, method, p, each)
}

// one asks for a method that has one result.
func one[T any](ctx context.Context, c Control, method string, p params) (result T, err error) {
	err = c.call(ctx, method, p, func(m json.RawMessage) error {
		if err := json.Unmarshal(m, &result); err != nil {
			return fmt.Errorf("reading the session's answer: %w", err)
		}
		return nil
	})
	return result, err
}

// serveControl answers other commands until ctx ends.
func (s *Session) serveControl(ctx context.Context) error {
	l, err := control.Listen(ctx, s.Socket)
	if err != nil {
		return err
	}
	server := &control.Server{Build: config.Version(), Methods: map[string]control.Method{
		methodPing:   func(context.Context, json.RawMessage, func(any) error) error { return nil },
		methodFlush:  s.method(s.answerFlush),
		methodStatus: s.method(s.answerStatus),
		methodTop:    s.method(s.answerTop),
		methodPause:  s.method(s.answerPause),
		methodResume: s.method(s.answerResume),
		methodTrash:  s.method(s.answerTrash),
		methodUndo:   s.method(s.answerUndo),
		methodLocal:  s.method(s.answerLocal),
	}}
	return server.Serve(ctx, l)
}

// question is one request, with the folders that it is about.
type question struct {
	params
	folders []*Folder
	reply   func(result any) error
}

// method reads the parameters of a request, and gives what went wrong its code.
func (s *Session) method(answer func(context.Context, question) error) control.Method {
	return func(ctx context.Context, raw json.RawMessage, reply func(any) error) error {
		q := question{reply: reply}
		if len(raw) > 0 {
			if err := json.Unmarshal(raw, &q.params); err != nil {
				return &control.Error{Code: control.CodeParams, Text: "the parameters are not understood: " + err.Error()}
			}
		}
		for _, f := range s.Folders {
			if q.Folder == "" || q.Folder == f.Local || q.Folder == f.Remote {
				q.folders = append(q.folders, f)
			}
		}
		if q.Folder != "" && len(q.folders) == 0 {
			return &control.Error{Code: control.CodeParams, Text: fmt.Sprintf("%s is not a synced folder of %s", q.Folder, s.Name)}
		}
		err := answer(ctx, q)
		if errors.Is(err, engine.ErrStopped) || errors.Is(err, engine.ErrPaused) {
			return &control.Error{Code: control.CodeStopped, Text: err.Error()}
		}
		return err
	}
}

func (s *Session) answerFlush(ctx context.Context, q question) error {
	if q.Both {
		return settle(ctx, q.folders)
	}
	return flush(ctx, q.folders)
}

func (s *Session) answerTop(_ context.Context, q question) error {
	const usual, most = 10, 1000
	limit := usual
	if q.Limit > 0 {
		limit = min(q.Limit, most)
	}
	list := []FolderUsage{}
	for _, f := range q.folders {
		list = append(list, f.usage(limit))
	}
	return q.reply(list)
}

package workload

import (
	"context"
	"errors"
	"net/http"

	utilnet "k8s.io/apimachinery/pkg/util/net"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/util/connrotation"

	"github.com/kubectl-okteto/kubectl-okteto/plugin/redial"
)

// Connections are those of API clients.
type Connections struct{ dialer *connrotation.Dialer }

// NewConnections returns them; there is none yet.
func NewConnections() Connections { return Connections{connrotation.NewDialer(redial.Dial)} }

// Configure makes the clients of a configuration use them.
func (c Connections) Configure(cfg *rest.Config) {
	cfg.Dial = c.dialer.DialContext
	cfg.Wrap(func(next http.RoundTripper) http.RoundTripper { return eagerTransport{next} })
}

// HangUp closes them all: after a network was gone they may lead nowhere, which
// shows only after a minute, and repeat what was lost ever later.
func (c Connections) HangUp() { c.dialer.CloseAll() }

// eagerly marks contexts whose requests fail as soon as their connection does.
type eagerly struct{}

// eager makes the requests of a context fail at once, for whoever decides himself
// when to ask again. When a connection breaks, the API client asks again by
// itself, ten times, a second later each.
func eager(ctx context.Context) context.Context { return context.WithValue(ctx, eagerly{}, true) }

// errHungUp stands for the errors by which the API client knows a broken
// connection, and hides them from it.
var errHungUp = errors.New("the API server ended the connection")

// eagerTransport does for eager contexts what they say.
type eagerTransport struct{ next http.RoundTripper }

func (t eagerTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := t.next.RoundTrip(req)
	if err != nil && req.Context().Value(eagerly{}) != nil && (utilnet.IsConnectionReset(err) || utilnet.IsProbableEOF(err)) {
		err = errHungUp
	}
	return resp, err
}

//go:build linux

package node

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
)

// control talks to the supervisor of a state folder.
type control struct{ client *http.Client }

func newControl(c Config) control {
	return control{&http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", c.path("control.sock"))
		},
	}}}
}

// reports asks for the state of all components.
func (c control) reports(ctx context.Context) ([]report, error) {
	body, err := c.send(ctx, http.MethodGet, "/components")
	if err != nil {
		return nil, err
	}
	var reports []report
	if err := json.Unmarshal(body, &reports); err != nil {
		return nil, fmt.Errorf("reading the supervisor's answer: %w", err)
	}
	return reports, nil
}

// start starts a component, kill ends it at once.
func (c control) start(ctx context.Context, name string) error {
	_, err := c.send(ctx, http.MethodPost, "/components/"+name+"/start")
	return err
}

func (c control) kill(ctx context.Context, name string) error {
	_, err := c.send(ctx, http.MethodPost, "/components/"+name+"/kill")
	return err
}

func (c control) send(ctx context.Context, method, path string) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, method, "http://supervisor"+path, nil)
	if err != nil {
		return nil, err
	}
	response, err := c.client.Do(request)
	if err != nil {
		return nil, fmt.Errorf("asking the supervisor: %w", err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, err
	}
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("the supervisor refuses: %s", strings.TrimSpace(string(body)))
	}
	return body, nil
}

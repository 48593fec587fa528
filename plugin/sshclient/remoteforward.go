package sshclient

import (
	"context"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/kubectl-okteto/kubectl-okteto/agent/config"
	"github.com/kubectl-okteto/kubectl-okteto/datagram"
)

// The channel types of connections that the server accepted for us.
const (
	forwardedTCP  = "forwarded-tcpip"
	forwardedUnix = "forwarded-streamlocal@openssh.com"
)

// RemoteForward listens in the pod, on host:port (tcpip-forward, RFC 4254
// section 7.1) or the path of a unix socket (streamlocal-forward@openssh.com),
// and connects everyone who connects there with what dial returns; if dial
// fails, they are refused. It runs until ctx ends, whose cause it returns, or
// the connection does. All connections are closed when it returns.
func (c *Client) RemoteForward(ctx context.Context, bind string, dial func(context.Context) (net.Conn, error)) error {
	target, err := parseBind(bind)
	if err != nil {
		return err
	}
	return c.remoteForward(ctx, bind, target, dial, func(ctx context.Context, local net.Conn, remote *channelConn) {
		Pipe(ctx, local, remote)
	})
}

// RemoteForwardUDP does the same for UDP on host:port in the pod: dial is called
// for each flow, and returns a connected socket.
func (c *Client) RemoteForwardUDP(ctx context.Context, bind string, dial func(context.Context) (net.Conn, error)) error {
	target, err := parseBind(bind)
	if err != nil {
		return err
	}
	target.request, target.cancel, target.key = config.UDPForward, config.CancelUDPForward, udpKey(target.key)
	return c.remoteForward(ctx, bind, target, dial, func(ctx context.Context, socket net.Conn, flow *channelConn) {
		defer context.AfterFunc(ctx, func() { _ = flow.Close() })()
		datagram.Join(flow, socket)
	})
}

// udpKey is the key of a forward of UDP, whose ports are others than TCP's.
func udpKey(key string) string { return "udp " + key }

// remoteForward asks for a forward and has join connect each of its connections
// with what dial returns.
func (c *Client) remoteForward(ctx context.Context, bind string, target bindTarget,
	dial func(context.Context) (net.Conn, error), join func(context.Context, net.Conn, *channelConn)) error {
	ctx, end := c.whileAlive(ctx)
	defer end()
	var conns sync.WaitGroup
	defer conns.Wait()
	// The forward is known before it is asked for: the first connection may
	// arrive together with the answer.
	remove, err := c.remotes.add(c, target.key, func(requested ssh.NewChannel) {
		conns.Go(func() { c.accept(ctx, requested, dial, join) })
	})
	if err != nil {
		return err
	}
	defer remove()
	granted, err := await(ctx, func() (bool, error) {
		ok, _, err := c.ssh.SendRequest(target.request, true, target.payload)
		return ok, err
	}, func(bool) {})
	if err == nil && !granted {
		return fmt.Errorf("the pod cannot listen on %s: is it in use there?", bind)
	}
	if err != nil && ctx.Err() == nil {
		return fmt.Errorf("listening on %s in the pod: %w", bind, c.explain(err))
	}
	<-ctx.Done()
	c.cancelForward(ctx, target)
	return context.Cause(ctx)
}

// cancelForward ends a forward on the server and waits a moment for it, so
// that its address can be used again.
func (c *Client) cancelForward(ctx context.Context, target bindTarget) {
	const patience = time.Second
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
	defer cancel()
	_, _ = await(ctx, func() (struct{}, error) {
		_, _, err := c.ssh.SendRequest(target.cancel, true, target.payload)
		return struct{}{}, err
	}, func(struct{}) {})
}

// accept connects a connection that was made in the pod with its target.
func (c *Client) accept(ctx context.Context, requested ssh.NewChannel,
	dial func(context.Context) (net.Conn, error), join func(context.Context, net.Conn, *channelConn)) {
	local, err := dial(ctx)
	if err != nil {
		_ = requested.Reject(ssh.ConnectionFailed, err.Error())
		if ctx.Err() == nil {
			c.report(err)
		}
		return
	}
	channel, requests, err := requested.Accept()
	if err != nil {
		_ = local.Close()
		return
	}
	go ssh.DiscardRequests(requests)
	join(ctx, local, &channelConn{stream: stream{Channel: channel, client: c}, remote: podAddr{requested.ChannelType(), ""}})
}

// bindTarget is what a remote forward asks for.
type bindTarget struct {
	request, cancel string
	payload         []byte
	// key is how the server names the forward with each connection.
	key string
}

func parseBind(bind string) (bindTarget, error) {
	if strings.Contains(bind, "/") {
		return bindTarget{
			request: "streamlocal-forward@openssh.com",
			cancel:  "cancel-streamlocal-forward@openssh.com",
			payload: ssh.Marshal(struct{ Path string }{bind}),
			key:     bind,
		}, nil
	}
	host, port, err := parsePort(bind)
	if err == nil && port == 0 {
		err = fmt.Errorf("reading the port of %q: it must be named", bind)
	}
	return bindTarget{
		request: "tcpip-forward",
		cancel:  "cancel-tcpip-forward",
		payload: ssh.Marshal(struct {
			Host string
			Port uint32
		}{host, port}),
		key: net.JoinHostPort(host, strconv.FormatUint(uint64(port), 10)),
	}, err
}

// parsePort reads host:port.
func parsePort(address string) (host string, port uint32, err error) {
	host, text, err := net.SplitHostPort(address)
	if err != nil {
		return "", 0, fmt.Errorf("reading the address %q: %w", address, err)
	}
	n, err := strconv.ParseUint(text, 10, 16)
	if err != nil {
		return "", 0, fmt.Errorf("reading the port of %q: %w", address, err)
	}
	return host, uint32(n), nil
}

// remoteForwards leads connections that were made in the pod to their forward.
type remoteForwards struct {
	once    sync.Once
	mu      sync.Mutex
	targets map[string]func(ssh.NewChannel)
}

// add registers a forward until remove is called.
func (r *remoteForwards) add(c *Client, key string, serve func(ssh.NewChannel)) (remove func(), err error) {
	r.once.Do(func() {
		r.targets = map[string]func(ssh.NewChannel){}
		for _, kind := range []string{forwardedTCP, forwardedUnix, config.ForwardedUDP} {
			channels := c.ssh.HandleChannelOpen(kind)
			go func() {
				for requested := range channels {
					r.lead(requested)
				}
			}()
		}
	})
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.targets[key] != nil {
		return nil, fmt.Errorf("%s in the pod is forwarded already", key)
	}
	r.targets[key] = serve
	return func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		delete(r.targets, key)
	}, nil
}

// lead hands a connection to its forward, which must not wait.
func (r *remoteForwards) lead(requested ssh.NewChannel) {
	key, err := forwardedKey(requested)
	if err != nil {
		_ = requested.Reject(ssh.ConnectionFailed, err.Error())
		return
	}
	if !r.serve(key, requested) {
		_ = requested.Reject(ssh.Prohibited, "nobody asked for it")
	}
}

func (r *remoteForwards) serve(key string, requested ssh.NewChannel) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	serve := r.targets[key]
	if serve != nil {
		serve(requested)
	}
	return serve != nil
}

// forwardedKey reads from a channel request which forward it belongs to.
func forwardedKey(requested ssh.NewChannel) (string, error) {
	if requested.ChannelType() == forwardedUnix {
		var payload struct{ Path, Reserved string }
		err := ssh.Unmarshal(requested.ExtraData(), &payload)
		return payload.Path, err
	}
	var payload channelOpen
	err := ssh.Unmarshal(requested.ExtraData(), &payload)
	key := net.JoinHostPort(payload.Host, strconv.FormatUint(uint64(payload.Port), 10))
	if requested.ChannelType() == config.ForwardedUDP {
		key = udpKey(key)
	}
	return key, err
}

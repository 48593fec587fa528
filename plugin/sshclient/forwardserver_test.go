package sshclient_test

import (
	"context"
	"io"
	"net"
	"strconv"
	"sync"

	server "github.com/gliderlabs/ssh"
	"golang.org/x/crypto/ssh"
)

// serveDirect connects a channel with a TCP address or a unix socket.
func serveDirect(_ *server.Server, _ *ssh.ServerConn, requested ssh.NewChannel, ctx server.Context) {
	network, address := "unix", ""
	if requested.ChannelType() == "direct-tcpip" {
		var target struct {
			Host       string
			Port       uint32
			Origin     string
			OriginPort uint32
		}
		if err := ssh.Unmarshal(requested.ExtraData(), &target); err != nil {
			_ = requested.Reject(ssh.ConnectionFailed, err.Error())
			return
		}
		network, address = "tcp", net.JoinHostPort(target.Host, strconv.Itoa(int(target.Port)))
	} else {
		var target struct {
			Path, Reserved string
			Unused         uint32
		}
		if err := ssh.Unmarshal(requested.ExtraData(), &target); err != nil {
			_ = requested.Reject(ssh.ConnectionFailed, err.Error())
			return
		}
		address = target.Path
	}
	var d net.Dialer
	conn, err := d.DialContext(ctx, network, address)
	if err != nil {
		_ = requested.Reject(ssh.ConnectionFailed, err.Error())
		return
	}
	channel, requests, err := requested.Accept()
	if err != nil {
		_ = conn.Close()
		return
	}
	go ssh.DiscardRequests(requests)
	go join(channel, conn)
}

// join copies in both directions, each until its end.
func join(channel ssh.Channel, conn net.Conn) {
	var both sync.WaitGroup
	both.Go(func() {
		_, _ = io.Copy(conn, channel)
		_ = conn.(interface{ CloseWrite() error }).CloseWrite()
	})
	both.Go(func() {
		_, _ = io.Copy(channel, conn)
		_ = channel.CloseWrite()
	})
	both.Wait()
	_ = channel.Close()
	_ = conn.Close()
}

// remoteForwards serves tcpip-forward. Whatever port is asked for, the system
// picks one that is certainly free.
type remoteForwards struct {
	// listening gets the address of each forward. The test takes it before it
	// asks for the next.
	listening chan string
	mu        sync.Mutex
	listeners map[string]net.Listener
}

type bindAddress struct {
	Host string
	Port uint32
}

func (b bindAddress) String() string { return net.JoinHostPort(b.Host, strconv.Itoa(int(b.Port))) }

// open returns a listener for a forward, unless there is one already.
func (f *remoteForwards) open(bind bindAddress) (net.Listener, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.listeners[bind.String()] != nil {
		return nil, false
	}
	l, err := net.Listen("tcp", net.JoinHostPort(bind.Host, "0"))
	if err != nil {
		return nil, false
	}
	f.listeners[bind.String()] = l
	return l, true
}

// close ends a forward and tells whether there was one.
func (f *remoteForwards) close(bind bindAddress) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	l, ok := f.listeners[bind.String()]
	if ok {
		_ = l.Close()
		delete(f.listeners, bind.String())
	}
	return ok
}

func (f *remoteForwards) listen(ctx server.Context, _ *server.Server, req *ssh.Request) (bool, []byte) {
	var bind bindAddress
	if err := ssh.Unmarshal(req.Payload, &bind); err != nil {
		return false, nil
	}
	l, ok := f.open(bind)
	if !ok {
		return false, nil
	}
	f.listening <- l.Addr().String()
	conn := ctx.Value(server.ContextKeyConn).(*ssh.ServerConn)
	context.AfterFunc(ctx, func() { _ = l.Close() })
	go func() {
		for {
			accepted, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				channel, requests, err := conn.OpenChannel("forwarded-tcpip", ssh.Marshal(struct {
					Host       string
					Port       uint32
					Origin     string
					OriginPort uint32
				}{bind.Host, bind.Port, "127.0.0.1", 1}))
				if err != nil {
					_ = accepted.Close()
					return
				}
				go ssh.DiscardRequests(requests)
				join(channel, accepted)
			}()
		}
	}()
	return true, nil
}

func (f *remoteForwards) cancel(_ server.Context, _ *server.Server, req *ssh.Request) (bool, []byte) {
	var bind bindAddress
	if err := ssh.Unmarshal(req.Payload, &bind); err != nil {
		return false, nil
	}
	return f.close(bind), nil
}

//go:build linux

package sshd

import (
	"context"
	"fmt"
	"io"
	"net"
	"strconv"

	"github.com/gliderlabs/ssh"
	gossh "golang.org/x/crypto/ssh"

	"github.com/kubectl-okteto/kubectl-okteto/agent/config"
	"github.com/kubectl-okteto/kubectl-okteto/datagram"
)

// serveDirectUDP handles config.DirectUDP: one flow of a local forward to an
// address that the pod can reach.
func (s *Server) serveDirectUDP(_ *ssh.Server, _ *gossh.ServerConn, newChannel gossh.NewChannel, ctx ssh.Context) {
	var r channelOpen
	if err := gossh.Unmarshal(newChannel.ExtraData(), &r); err != nil || r.Port > 65535 {
		reject(newChannel, fmt.Errorf("malformed request"))
		return
	}
	d := net.Dialer{Timeout: dialTimeout} // for the name
	socket, err := d.DialContext(ctx, "udp", net.JoinHostPort(r.Host, strconv.Itoa(int(r.Port))))
	if err != nil {
		reject(newChannel, err)
		return
	}
	channel, requests, err := newChannel.Accept()
	if err != nil {
		_ = socket.Close()
		return
	}
	go gossh.DiscardRequests(requests)
	datagram.Join(channel, socket)
}

// listenUDP handles config.UDPForward.
func (f *remoteForwards) listenUDP(ctx ssh.Context, _ *ssh.Server, req *gossh.Request) (bool, []byte) {
	var r tcpForward
	if gossh.Unmarshal(req.Payload, &r) != nil || r.Port == 0 || r.Port > 65535 {
		return false, nil
	}
	socket, err := net.ListenPacket("udp", net.JoinHostPort(r.Host, strconv.Itoa(int(r.Port))))
	if err != nil {
		f.server.config.Log.Info("remote forward refused", "host", r.Host, "port", r.Port, "network", "udp", "err", err)
		return false, nil
	}
	conn := connOf(ctx)
	if !f.add(ctx, forwardKey{conn, "udp", r.Host, r.Port}, []io.Closer{socket}) {
		return false, nil
	}
	flows := datagram.Flows{Open: func(_ context.Context, peer net.Addr) (io.ReadWriteCloser, error) {
		open := channelOpen{Host: r.Host, Port: r.Port}
		if a, ok := peer.(*net.UDPAddr); ok {
			open.OriginHost, open.OriginPort = a.IP.String(), uint32(a.Port)
		}
		channel, requests, err := conn.OpenChannel(config.ForwardedUDP, gossh.Marshal(open))
		if err != nil {
			return nil, err
		}
		go gossh.DiscardRequests(requests)
		return channel, nil
	}}
	// It ends when the socket is closed.
	go func() { _ = flows.Serve(context.WithoutCancel(ctx), socket) }()
	return true, nil
}

// cancelUDP handles config.CancelUDPForward.
func (f *remoteForwards) cancelUDP(ctx ssh.Context, _ *ssh.Server, req *gossh.Request) (bool, []byte) {
	var r tcpForward
	if gossh.Unmarshal(req.Payload, &r) != nil {
		return false, nil
	}
	return f.remove(forwardKey{connOf(ctx), "udp", r.Host, r.Port}), nil
}

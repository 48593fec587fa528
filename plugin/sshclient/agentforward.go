package sshclient

import (
	"net"
	"sync"

	"golang.org/x/crypto/ssh"
)

// agentForwards lets the pod reach the user's ssh-agent, only while a command
// runs that may use it.
type agentForwards struct {
	once  sync.Once
	mu    sync.Mutex
	users int
}

// allow opens the way to the agent until the function that it returns is
// called.
func (a *agentForwards) allow(c *Client) (end func()) {
	a.add(1)
	a.once.Do(func() {
		// The channel type of draft-ietf-sshm-ssh-agent, as OpenSSH calls it.
		channels := c.ssh.HandleChannelOpen("auth-agent@openssh.com")
		go func() {
			for channel := range channels {
				go a.serve(c, channel)
			}
		}()
	})
	return func() { a.add(-1) }
}

func (a *agentForwards) add(n int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.users += n
}

func (a *agentForwards) serve(c *Client, requested ssh.NewChannel) {
	a.mu.Lock()
	allowed := a.users > 0
	a.mu.Unlock()
	if !allowed {
		_ = requested.Reject(ssh.Prohibited, "no command may use the agent")
		return
	}
	var d net.Dialer
	local, err := d.DialContext(c.alive, "unix", c.agentSocket)
	if err != nil {
		_ = requested.Reject(ssh.ConnectionFailed, "the agent cannot be reached")
		return
	}
	channel, requests, err := requested.Accept()
	if err != nil {
		_ = local.Close()
		return
	}
	go ssh.DiscardRequests(requests)
	Pipe(c.alive, local, &channelConn{stream: stream{Channel: channel, client: c}, remote: podAddr{"unix", "ssh-agent"}})
}

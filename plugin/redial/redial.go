// Package redial connects through networks that come and go.
package redial

import (
	"context"
	"net"
	"time"
)

// Times of one connection.
const (
	// limit bounds it as a whole, keepalive is the network's own sign of life.
	limit, keepalive = 30 * time.Second, 30 * time.Second
	// pause is the time after which an attempt that nobody answers gets company,
	// lead how long each of these has. The first has all the time: where the way
	// is that slow, it arrives.
	pause, lead = 250 * time.Millisecond, 2 * time.Second
)

// Dial connects as net.Dialer does. While nobody answers, it tries anew beside
// that: the system repeats a lost question after a second at the earliest, and
// then ever later.
func Dial(ctx context.Context, network, address string) (net.Conn, error) {
	return dialer((&net.Dialer{KeepAlive: keepalive}).DialContext).dial(ctx, network, address)
}

// dialer is net.Dialer's DialContext.
type dialer func(ctx context.Context, network, address string) (net.Conn, error)

// outcome is what came of an attempt.
type outcome struct {
	conn net.Conn
	err  error
}

func (d dialer) dial(ctx context.Context, network, address string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	outcomes := make(chan outcome)
	attempt := func(lead context.Context) {
		conn, err := d(lead, network, address)
		if lead.Err() != nil && ctx.Err() == nil && err != nil {
			return // its time was over
		}
		select {
		case outcomes <- outcome{conn, err}:
		case <-ctx.Done():
			if conn != nil {
				_ = conn.Close()
			}
		}
	}
	go attempt(ctx)
	company := time.NewTicker(pause)
	defer company.Stop()
	for {
		select {
		case o := <-outcomes:
			return o.conn, o.err
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-company.C:
			go func() {
				young, cancel := context.WithTimeout(ctx, lead)
				defer cancel()
				attempt(young)
			}()
		}
	}
}

package workload

import (
	"bufio"
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

// TestEager asks a server that hangs up on whoever asks: an eager request fails with
// its first connection.
func TestEager(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	var conns atomic.Int32
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			conns.Add(1)
			_, _ = http.ReadRequest(bufio.NewReader(conn)) // else the client may not have asked yet
			_ = conn.Close()
		}
	}()
	cfg := &rest.Config{Host: "http://" + l.Addr().String()}
	NewConnections().Configure(cfg)
	kube, err := kubernetes.NewForConfig(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	_, err = kube.CoreV1().Pods("shop").List(eager(ctx), metav1.ListOptions{})
	if !errors.Is(err, errHungUp) {
		t.Errorf("the request failed with %v", err)
	}
	if n := conns.Load(); n != 1 {
		t.Errorf("the server was asked %d times", n)
	}
}

// TestHangUp looks for a new connection after the clients had to hang up.
func TestHangUp(t *testing.T) {
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(`{"kind":"PodList","apiVersion":"v1"}`))
	}))
	var conns atomic.Int32
	server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			conns.Add(1)
		}
	}
	server.Start()
	defer server.Close()
	connections := NewConnections()
	cfg := &rest.Config{Host: server.URL}
	connections.Configure(cfg)
	kube, err := kubernetes.NewForConfig(cfg)
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []int32{1, 1, 2} {
		if i == 2 {
			connections.HangUp()
		}
		if _, err := kube.CoreV1().Pods("shop").List(t.Context(), metav1.ListOptions{}); err != nil {
			t.Fatal(err)
		}
		if n := conns.Load(); n != want {
			t.Errorf("request %d: %d connections, want %d", i+1, n, want)
		}
	}
}

// Command web is an HTTP service for tests: static, so that it runs in an
// image that has nothing else. It answers with a file that it reads at each
// request, with a variable of its environment, or with what another service
// answers.
//
//	GET /            the file named by -file
//	GET /env/{name}  the environment variable
//	GET /call        what the service at the URL in $BACKEND answers
//	GET /healthz     ok
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"
)

func main() {
	address := flag.String("listen", ":8080", "address to listen on")
	file := flag.String("file", "message.txt", "file to answer with, relative to the working directory")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := serve(ctx, *address, *file); err != nil {
		fmt.Fprintln(os.Stderr, "web:", err)
		os.Exit(1)
	}
}

// serve answers requests until ctx is done.
func serve(ctx context.Context, address, file string) error {
	server := &http.Server{Addr: address, Handler: routes(file), ReadHeaderTimeout: 10 * time.Second}
	// A test service need not drain: its pod shall end at once.
	context.AfterFunc(ctx, func() { _ = server.Close() })
	fmt.Println("listening on", address)
	if err := server.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

func routes(file string) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		content, err := os.ReadFile(file)
		answer(w, content, err)
	})
	mux.HandleFunc("GET /env/{name}", func(w http.ResponseWriter, r *http.Request) {
		answer(w, []byte(os.Getenv(r.PathValue("name"))), nil)
	})
	mux.HandleFunc("GET /call", func(w http.ResponseWriter, r *http.Request) {
		content, err := call(r.Context(), os.Getenv("BACKEND"))
		answer(w, content, err)
	})
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { answer(w, []byte("ok\n"), nil) })
	return mux
}

// call returns what the service at url answers.
func call(ctx context.Context, url string) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	return io.ReadAll(response.Body)
}

func answer(w http.ResponseWriter, content []byte, err error) {
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	// A client that went away has no use for the rest.
	_, _ = w.Write(content)
}

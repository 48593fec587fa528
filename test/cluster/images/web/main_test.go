package main

import (
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
)

func TestRoutes(t *testing.T) {
	file := filepath.Join(t.TempDir(), "message.txt")
	server := httptest.NewServer(routes(file))
	defer server.Close()
	t.Setenv("GREETING", "hello")
	t.Setenv("BACKEND", server.URL+"/env/GREETING")
	get := func(path string) (int, string) {
		t.Helper()
		response, err := server.Client().Get(server.URL + path)
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		body, err := io.ReadAll(response.Body)
		if err != nil {
			t.Fatal(err)
		}
		return response.StatusCode, string(body)
	}
	if code, _ := get("/"); code != http.StatusInternalServerError {
		t.Errorf("without its file: status %d", code)
	}
	for _, text := range []string{"one", "two"} {
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		if code, body := get("/"); code != http.StatusOK || body != text {
			t.Errorf("got %d %q, want %q", code, body, text)
		}
	}
	for _, path := range []string{"/env/GREETING", "/call"} {
		if code, body := get(path); code != http.StatusOK || body != "hello" {
			t.Errorf("%s: got %d %q, want hello", path, code, body)
		}
	}
}

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"
)

// matrixTest is the test in test/e2e whose subtests are the cells of the
// policies' matrix.
const matrixTest = "TestPolicies"

// matrix counts the cells that pass. A red cell is a figure, not an error.
func (b *bench) matrix(ctx context.Context) error {
	cmd := exec.CommandContext(ctx, "go", "test", "-json", "-count=1", "-tags", "e2e", "-run", "^"+matrixTest+"$", "./test/e2e")
	cmd.Dir = b.root
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		return fmt.Errorf("running the matrix: %w", err)
	}
	passed, failed, err := cells(bytes.NewReader(out))
	if err != nil {
		return err
	}
	if passed+len(failed) == 0 {
		return fmt.Errorf("the matrix did not run: %s%s", out, &stderr)
	}
	for _, cell := range failed {
		b.report.say("red: %s", cell)
	}
	b.report.add("matrix_pass", float64(passed), fmt.Sprintf("cells green of %d", passed+len(failed)))
	return nil
}

// cells reads the output of `go test -json` and returns how many cells passed
// and the names of those that did not.
func cells(output io.Reader) (passed int, failed []string, err error) {
	events := json.NewDecoder(output)
	for {
		var event struct{ Action, Test string }
		err := events.Decode(&event)
		if errors.Is(err, io.EOF) {
			return passed, failed, nil
		}
		if err != nil {
			return 0, nil, fmt.Errorf("reading the output of go test: %w", err)
		}
		cell, found := strings.CutPrefix(event.Test, matrixTest+"/")
		switch {
		case !found:
		case event.Action == "pass":
			passed++
		case event.Action == "fail":
			failed = append(failed, cell)
		}
	}
}

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// transfer is a peer's way to bring a folder to a folder of the pod.
type transfer struct {
	peer string
	copy func(b *bench, ctx context.Context, s *session, to string) (time.Duration, error)
}

func transfers() []transfer {
	return []transfer{
		{"tar", func(b *bench, ctx context.Context, s *session, to string) (time.Duration, error) {
			return b.tarExec(ctx, s, to, "-cf", "-", ".")
		}},
		{"kubectl_cp", (*bench).kubectlCopy},
		{"rsync", func(b *bench, ctx context.Context, s *session, to string) (time.Duration, error) {
			took, _, err := b.rsync(ctx, s, to)
			return took, err
		}},
	}
}

// folder makes an empty folder for a peer in the pod and lets the medium rest.
func (b *bench) folder(ctx context.Context, s *session, name string) (string, error) {
	dir := scratch + "/" + name
	if out, err := b.inPod(ctx, s, "sh", "-c", "rm -rf "+dir+" && mkdir "+dir).CombinedOutput(); err != nil {
		return "", fmt.Errorf("making %s in the pod: %w: %s", dir, err, out)
	}
	return dir, settle(ctx)
}

// tarExec measures `tar c | kubectl exec tar x` with these arguments of tar.
func (b *bench) tarExec(ctx context.Context, s *session, to string, args ...string) (time.Duration, error) {
	pack := exec.CommandContext(ctx, "tar", append([]string{"-C", s.dir}, args...)...)
	unpack := b.inPod(ctx, s, "tar", "-xf", "-", "-C", to)
	var problems strings.Builder
	pack.Stderr, unpack.Stderr = &problems, &problems
	reader, writer, err := os.Pipe()
	if err != nil {
		return 0, err
	}
	pack.Stdout, unpack.Stdin = writer, reader
	began := time.Now()
	err = pack.Start()
	_ = writer.Close()
	if err == nil {
		err = errors.Join(unpack.Run(), pack.Wait())
	}
	_ = reader.Close()
	if err != nil {
		return 0, fmt.Errorf("tar through kubectl exec: %w: %s", err, problems.String())
	}
	return time.Since(began), nil
}

// kubectlCopy measures `kubectl cp`.
func (b *bench) kubectlCopy(ctx context.Context, s *session, to string) (time.Duration, error) {
	began := time.Now()
	_, err := b.lab.Kubectl(ctx, "", "cp", s.dir, s.pod+":"+to+"/", "-c", container)
	return time.Since(began), err
}

// rsync measures rsync over the agent's SSH and returns the bytes that it says
// it has sent and received.
func (b *bench) rsync(ctx context.Context, s *session, to string, args ...string) (time.Duration, int64, error) {
	if _, err := exec.LookPath("rsync"); err != nil {
		return 0, 0, err
	}
	args = append([]string{"-a", "--stats", "-e", "ssh -F " + filepath.Join(b.lab.Home, ".ssh", "config")}, args...)
	cmd := exec.CommandContext(ctx, "rsync", append(args, s.dir+"/", s.workload+".okteto:"+to+"/")...)
	cmd.Env = append(os.Environ(), "HOME="+b.lab.Home, "OKTETO_FOLDER="+filepath.Join(b.lab.Home, ".okteto"))
	began := time.Now()
	out, err := cmd.CombinedOutput()
	took := time.Since(began)
	if err != nil {
		return 0, 0, fmt.Errorf("rsync: %w: %s", err, out)
	}
	var bytes int64
	for _, match := range regexp.MustCompile(`Total bytes (?:sent|received): ([0-9,]+)`).FindAllStringSubmatch(string(out), -1) {
		n, err := strconv.ParseInt(strings.ReplaceAll(match[1], ",", ""), 10, 64)
		if err != nil {
			return 0, 0, fmt.Errorf("reading rsync's numbers: %w", err)
		}
		bytes += n
	}
	return took, bytes, nil
}

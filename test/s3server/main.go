// Command s3server runs an S3 server (versitygw on a directory) for tests on
// loopback and says when it is ready. It is a test tool: a power cut may lose
// what it acknowledged.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"
)

func main() {
	listen := flag.String("listen", "127.0.0.1:7070", "address to serve on")
	dir := flag.String("dir", "", "directory for the objects; made if missing")
	binary := flag.String("versitygw", "", "path of a built versitygw; empty: go tool versitygw")
	cert := flag.String("cert", "", "certificate file: serve TLS")
	key := flag.String("key", "", "key file of -cert")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *listen, *dir, *binary, *cert, *key); err != nil {
		fmt.Fprintln(os.Stderr, "s3server:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, listen, dir, binary, cert, key string) error {
	if dir == "" {
		return errors.New("-dir is needed: where shall the objects lie?")
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return err
	}
	objects, side, versions := filepath.Join(dir, "objects"), filepath.Join(dir, "sidecar"), filepath.Join(dir, "versions")
	for _, d := range []string{objects, side, versions} {
		if err := os.MkdirAll(d, 0o700); err != nil {
			return err
		}
	}
	args := []string{"--port", listen, "--quiet", "--keep-alive"}
	scheme := "http"
	if cert != "" {
		// The server changes its directory.
		if cert, err = filepath.Abs(cert); err != nil {
			return err
		}
		if key, err = filepath.Abs(key); err != nil {
			return err
		}
		args, scheme = append(args, "--cert", cert, "--key", key), "https"
	}
	// A sidecar directory for metadata works on file systems without xattrs.
	args = append(args, "posix", "--sidecar", side, "--versioning-dir", versions, objects)
	name := binary
	if name == "" {
		if name, err = build(ctx); err != nil {
			return err
		}
	}
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 5 * time.Second
	cmd.Env = append(os.Environ(), "ROOT_ACCESS_KEY=testuser", "ROOT_SECRET_KEY=secretsecret")
	cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
	if err := cmd.Start(); err != nil {
		return err
	}
	exited := make(chan error, 1)
	go func() { exited <- cmd.Wait() }()
	for {
		select {
		case err := <-exited:
			if ctx.Err() != nil {
				return nil
			}
			return fmt.Errorf("the server has ended: %w", err)
		case <-time.After(100 * time.Millisecond):
		}
		c, err := net.Dial("tcp", listen)
		if err == nil {
			c.Close()
			fmt.Printf("ready %s://%s\n", scheme, listen)
			<-exited
			return nil
		}
	}
}

// build gives the path of the tool's cached executable, building it at need.
func build(ctx context.Context) (string, error) {
	cmd := exec.CommandContext(ctx, "go", "tool", "-n", "versitygw")
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("building versitygw: %w", err)
	}
	return string(out[:max(len(out)-1, 0)]), nil
}

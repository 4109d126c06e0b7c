package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"runtime"
	"slices"
	"sync"
	"testing"
)

// outside is a testing.TB for loads that the tests have too, outside of go
// test: it keeps what went wrong and cleans up in the end.
type outside struct {
	testing.TB // nil; nobody else can make one
	ctx        context.Context

	mu       sync.Mutex
	cleanups []func()
	errs     []error
}

// outsideTests runs a load as a test would, and gives what it found wrong.
func outsideTests(load func(t testing.TB)) error {
	ctx, cancel := context.WithCancel(context.Background())
	o := &outside{ctx: ctx}
	done := make(chan struct{})
	go func() { // it ends by Goexit where it fails
		defer close(done)
		load(o)
	}()
	<-done
	cancel()
	for {
		o.mu.Lock()
		n := len(o.cleanups)
		if n == 0 {
			defer o.mu.Unlock()
			return errors.Join(o.errs...)
		}
		fn := o.cleanups[n-1]
		o.cleanups = slices.Delete(o.cleanups, n-1, n)
		o.mu.Unlock()
		cleaned := make(chan struct{})
		go func() {
			defer close(cleaned)
			fn()
		}()
		<-cleaned
	}
}

func (o *outside) Helper()                  {}
func (o *outside) Name() string             { return "bench" }
func (o *outside) Context() context.Context { return o.ctx }
func (o *outside) Cleanup(fn func()) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.cleanups = append(o.cleanups, fn)
}

func (o *outside) Failed() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.errs) > 0
}

func (o *outside) Error(args ...any) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.errs = append(o.errs, errors.New(fmt.Sprint(args...)))
}

func (o *outside) Errorf(format string, args ...any) { o.Error(fmt.Sprintf(format, args...)) }

func (o *outside) Fatal(args ...any) {
	o.Error(args...)
	runtime.Goexit()
}

func (o *outside) Fatalf(format string, args ...any) { o.Fatal(fmt.Sprintf(format, args...)) }
func (o *outside) Skip(args ...any)                  { o.Fatal(args...) }
func (o *outside) Skipf(format string, args ...any)  { o.Fatalf(format, args...) }
func (o *outside) Log(args ...any)                   { log.Print(args...) }
func (o *outside) Logf(format string, args ...any)   { log.Printf(format, args...) }

func (o *outside) TempDir() string {
	dir, err := os.MkdirTemp("", "rookery-bench-*")
	if err != nil {
		o.Fatal(err)
	}
	o.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

package conns

import (
	"context"
	"errors"
	"net"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

type fake struct {
	client         string
	ln             net.Listener
	drained, broke atomic.Int32
	onDrain        func()
}

func (f *fake) Client() string         { return f.client }
func (f *fake) Listener() net.Listener { return f.ln }
func (f *fake) Cut()                   { f.broke.Add(1) }
func (f *fake) Drain() {
	f.drained.Add(1)
	if f.onDrain != nil {
		f.onDrain()
	}
}

type door struct {
	net.Listener
	closed atomic.Bool
}

func (d *door) Close() error { d.closed.Store(true); return nil }

func admit(t *testing.T, tab *Table[*fake], c *fake, want bool) {
	t.Helper()
	if why := tab.Admit(c); (why == "") != want {
		t.Fatalf("Admit(%s) = %q, admitted wanted: %v", c.client, why, want)
	}
}

func TestLimits(t *testing.T) {
	tab := New[*fake](3, 2)
	a, b, c := &fake{client: "a"}, &fake{client: "a"}, &fake{client: "a"}
	admit(t, tab, a, true)
	admit(t, tab, b, true)
	admit(t, tab, c, false)
	admit(t, tab, &fake{client: "b"}, true)
	admit(t, tab, &fake{client: "c"}, false)
	tab.Release(c) // was never admitted
	admit(t, tab, c, false)
	tab.Release(a)
	tab.Release(a)
	admit(t, tab, c, true)
	admit(t, tab, &fake{client: "a"}, false)
}

func TestReplace(t *testing.T) {
	tab := New[*fake](1, 1)
	clear, secure := &fake{client: "a"}, &fake{client: "a"}
	if tab.Replace(clear, secure) {
		t.Error("a connection that is not there was replaced")
	}
	admit(t, tab, clear, true)
	if !tab.Replace(clear, secure) {
		t.Fatal("not replaced")
	}
	tab.Release(clear)
	admit(t, tab, &fake{client: "b"}, false)
	tab.Release(secure)
	admit(t, tab, &fake{client: "b"}, true)
}

func TestCutByListener(t *testing.T) {
	tab := New[*fake](9, 9)
	one, two := &door{}, &door{}
	a, b := &fake{ln: one}, &fake{ln: two}
	admit(t, tab, a, true)
	admit(t, tab, b, true)
	tab.Cut(one)
	if a.broke.Load() != 1 || b.broke.Load() != 0 {
		t.Errorf("cut %d and %d times", a.broke.Load(), b.broke.Load())
	}
}

func TestShutdown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tab := New[*fake](9, 9)
		one, left := &door{}, &door{}
		if !tab.Listen(one) || !tab.Listen(left) {
			t.Fatal("no listeners taken")
		}
		tab.Leave(left)
		idle, busy := &fake{ln: one}, &fake{ln: one}
		idle.onDrain = func() { go tab.Release(idle) }
		busy.onDrain = func() { time.AfterFunc(time.Second, func() { tab.Release(busy) }) }
		admit(t, tab, idle, true)
		admit(t, tab, busy, true)
		began := time.Now()
		if err := tab.Shutdown(t.Context()); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(began); took != time.Second {
			t.Errorf("took %v, the busy connection ended after 1s", took)
		}
		if !one.closed.Load() || left.closed.Load() {
			t.Error("wrong listeners are closed")
		}
		late := &door{}
		if tab.Listen(late) || !late.closed.Load() {
			t.Error("a listener was taken after the shutdown")
		}
		admit(t, tab, &fake{}, false)
		if err := tab.Shutdown(t.Context()); err != nil {
			t.Error("the second time:", err)
		}
	})
}

func TestShutdownCutsTheRest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tab := New[*fake](9, 9)
		stuck := &fake{}
		admit(t, tab, stuck, true)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := tab.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Shutdown: %v", err)
		}
		if stuck.drained.Load() != 1 || stuck.broke.Load() != 1 {
			t.Errorf("drained %d times, cut %d times", stuck.drained.Load(), stuck.broke.Load())
		}
		if tab.Replace(stuck, &fake{}) {
			t.Error("replaced during a shutdown")
		}
	})
}

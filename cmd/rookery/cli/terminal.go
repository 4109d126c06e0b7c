package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"rookery"
)

// Terminal is the operator's: lines are asked for there and nowhere else, so a
// pipe is never taken for an answer.
type Terminal struct {
	tty *os.File
	in  *bufio.Reader
}

// IsTerminal reports whether somebody sits at a file.
func IsTerminal(f *os.File) bool {
	_, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	return err == nil
}

// OpenTerminal opens the terminal that the command was called from, where
// standard input is one. It has a file description of its own, whose waits can
// be ended without changing the shell's.
func OpenTerminal() (*Terminal, bool) {
	if !IsTerminal(os.Stdin) {
		return nil, false
	}
	tty, err := os.OpenFile("/dev/tty", os.O_RDWR, 0)
	if err != nil {
		return nil, false
	}
	return &Terminal{tty, bufio.NewReader(tty)}, true
}

// Close lets the terminal go.
func (t *Terminal) Close() error { return t.tty.Close() }

// Say prints a line.
func (t *Terminal) Say(format string, args ...any) { fmt.Fprintf(t.tty, format+"\n", args...) }

// Ask prints a question and reads a line; an empty one is the default.
func (t *Terminal) Ask(ctx context.Context, question, def string) (string, error) {
	if def != "" {
		question += " [" + def + "]"
	}
	fmt.Fprint(t.tty, question+": ")
	line, err := t.line(ctx)
	if line == "" {
		line = def
	}
	return line, err
}

// Secret is ask without echo. The default is not shown.
func (t *Terminal) Secret(ctx context.Context, question, def string) (string, error) {
	restore, err := t.silence()
	if err != nil {
		return "", rookery.E("read secret", rookery.KindUnknown, fmt.Errorf("the terminal's echo cannot be turned off: %w", err))
	}
	defer restore()
	if def != "" {
		question += " [as before]"
	}
	fmt.Fprint(t.tty, question+" (not shown): ")
	line, err := t.line(ctx)
	fmt.Fprintln(t.tty)
	if line == "" {
		line = def
	}
	return line, err
}

// line reads one line, until ctx ends.
func (t *Terminal) line(ctx context.Context) (string, error) {
	t.tty.SetReadDeadline(time.Time{})
	stop := context.AfterFunc(ctx, func() { t.tty.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	line, err := t.in.ReadString('\n')
	switch {
	case ctx.Err() != nil:
		return "", rookery.E("ask", rookery.KindUnknown, errors.New("interrupted: nothing was made"))
	case err == io.EOF:
		return "", rookery.E("ask", rookery.KindUnknown, errors.New("the input ended before everything was answered: nothing was made"))
	case err != nil:
		return "", rookery.E("ask", rookery.KindUnknown, err)
	}
	return strings.TrimSpace(line), nil
}

// silence turns the echo off until restore is called.
func (t *Terminal) silence() (restore func(), err error) {
	var before *unix.Termios
	change := func(fn func(fd int) error) error {
		raw, err := t.tty.SyscallConn()
		if err != nil {
			return err
		}
		var inner error
		return errors.Join(raw.Control(func(fd uintptr) { inner = fn(int(fd)) }), inner)
	}
	err = change(func(fd int) (err error) {
		if before, err = unix.IoctlGetTermios(fd, unix.TCGETS); err != nil {
			return err
		}
		quiet := *before
		quiet.Lflag &^= unix.ECHO
		return unix.IoctlSetTermios(fd, unix.TCSETS, &quiet)
	})
	if err != nil {
		return nil, err
	}
	return func() {
		change(func(fd int) error { return unix.IoctlSetTermios(fd, unix.TCSETS, before) })
	}, nil
}

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"rookery/cmd/node/adminapi"
	"rookery/cmd/rookery/cli"
)

// Bounds of the time between two looks of a watch.
const (
	watchLeast = 200 * time.Millisecond
	watchMost  = time.Hour
)

// watch shows the status again and again until ctx ends: in place on a
// terminal, else one after the other. A node that does not answer is shown as
// such, and asked again.
func watch(ctx context.Context, s *cli.Shell, c *adminapi.Client, every time.Duration, asJSON bool) error {
	p := newPainter(s.Out)
	for {
		asking, cancel := context.WithTimeout(ctx, max(every, 5*time.Second))
		st, err := c.Status(asking)
		cancel()
		if ctx.Err() != nil {
			return p.end()
		}
		var text bytes.Buffer
		switch {
		case err != nil && asJSON:
			cli.WriteJSONError(&text, "status", err)
		case err != nil:
			fmt.Fprintf(&text, "the node does not answer, asking again: %v\n", err)
		case asJSON:
			json.NewEncoder(&text).Encode(st)
		default:
			fmt.Fprintln(&text, time.Now().Format(time.DateTime))
			if err := statusTable(&cli.Shell{Out: &text}, st); err != nil {
				return err
			}
		}
		if err := p.paint(text.String(), asJSON); err != nil {
			return err
		}
		select {
		case <-time.After(every):
		case <-ctx.Done():
			return p.end()
		}
	}
}

// painter shows texts on the same place of a terminal, or one behind the other
// elsewhere.
type painter struct {
	out io.Writer
	tty *os.File // nil: no terminal
	lit bool     // something was painted
}

func newPainter(out io.Writer) *painter {
	p := &painter{out: out}
	if f, ok := out.(*os.File); ok && cli.IsTerminal(f) {
		p.tty = f
	}
	return p
}

// The control sequences of ECMA-48 that every terminal of today knows.
const (
	home      = "\x1b[H"
	clearAll  = "\x1b[2J"
	clearLine = "\x1b[K"
	clearRest = "\x1b[J"
)

func (p *painter) paint(text string, raw bool) error {
	if p.tty == nil || raw {
		if p.lit && !raw {
			text = "\n" + text
		}
		p.lit = true
		_, err := io.WriteString(p.out, text)
		return err
	}
	var b strings.Builder
	if b.WriteString(home); !p.lit {
		b.WriteString(clearAll)
	}
	p.lit = true
	rows, columns := p.size()
	lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
	if len(lines) > rows-1 && rows > 2 {
		// What is wrong stands at the end; the middle can be missed.
		keep := (rows - 2) / 2
		lines = append(append(lines[:keep:keep], fmt.Sprintf("... %d lines; make the window higher", len(lines)-(rows-2))),
			lines[len(lines)-(rows-2-keep):]...)
	}
	for _, l := range lines {
		if r := []rune(l); len(r) > columns && columns > 0 {
			l = string(r[:columns])
		}
		b.WriteString(l + clearLine + "\n")
	}
	b.WriteString(clearRest)
	_, err := io.WriteString(p.out, b.String())
	return err
}

// size is the terminal's, zeros where it does not say.
func (p *painter) size() (rows, columns int) {
	w, err := unix.IoctlGetWinsize(int(p.tty.Fd()), unix.TIOCGWINSZ)
	if err != nil {
		return 0, 0
	}
	return int(w.Row), int(w.Col)
}

// end leaves the last picture.
func (p *painter) end() error {
	if p.tty == nil {
		return nil
	}
	_, err := io.WriteString(p.out, "\n")
	return err
}

package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"
)

// progress draws a bar with the time left on a terminal, and nothing
// elsewhere.
type progress struct {
	w     io.Writer // nil: no terminal
	began time.Time
	drawn bool
}

// newProgress draws on w if it is a terminal.
func newProgress(w io.Writer) *progress {
	p := &progress{began: time.Now()}
	if f, ok := w.(*os.File); ok {
		if info, err := f.Stat(); err == nil && info.Mode()&os.ModeCharDevice != 0 {
			p.w = w
		}
	}
	return p
}

const barWidth = 24

// show draws how much of 1 is done, with a text behind it.
func (p *progress) show(done float64, text string) {
	if p.w == nil {
		return
	}
	done = min(max(done, 0), 1)
	full := int(done * barWidth)
	fmt.Fprintf(p.w, "\r\x1b[K[%s%s] %3.0f%% %s  %s", strings.Repeat("#", full), strings.Repeat(".", barWidth-full), 100*done,
		p.left(done), text)
	p.drawn = true
}

// left words the time that is left, from the pace so far.
func (p *progress) left(done float64) string {
	gone := time.Since(p.began)
	if done < 0.005 || gone < time.Second {
		return "left: ?"
	}
	left := time.Duration(float64(gone) * (1 - done) / done)
	return "left: " + left.Round(time.Second).String()
}

// clear takes the bar away, so that a line can be printed.
func (p *progress) clear() {
	if p.drawn {
		fmt.Fprint(p.w, "\r\x1b[K")
		p.drawn = false
	}
}

// count shows work whose end is not known.
func (p *progress) count(text string) {
	if p.w != nil {
		fmt.Fprintf(p.w, "\r\x1b[K%s", text)
		p.drawn = true
	}
}

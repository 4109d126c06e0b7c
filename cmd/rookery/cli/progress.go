package cli

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"
)

// Progress draws a bar with the time left on a terminal, and nothing
// elsewhere.
type Progress struct {
	w     io.Writer // nil: no terminal
	began time.Time
	drawn bool
}

// NewProgress draws on w if it is a terminal.
func NewProgress(w io.Writer) *Progress {
	p := &Progress{began: time.Now()}
	if f, ok := w.(*os.File); ok {
		if info, err := f.Stat(); err == nil && info.Mode()&os.ModeCharDevice != 0 {
			p.w = w
		}
	}
	return p
}

const barWidth = 24

// Show draws how much of 1 is done, with a text behind it.
func (p *Progress) Show(done float64, text string) {
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
func (p *Progress) left(done float64) string {
	gone := time.Since(p.began)
	if done < 0.005 || gone < time.Second {
		return "left: ?"
	}
	left := time.Duration(float64(gone) * (1 - done) / done)
	return "left: " + left.Round(time.Second).String()
}

// Clear takes the bar away, so that a line can be printed.
func (p *Progress) Clear() {
	if p.drawn {
		fmt.Fprint(p.w, "\r\x1b[K")
		p.drawn = false
	}
}

// Count shows work whose end is not known.
func (p *Progress) Count(text string) {
	if p.w != nil {
		fmt.Fprintf(p.w, "\r\x1b[K%s", text)
		p.drawn = true
	}
}

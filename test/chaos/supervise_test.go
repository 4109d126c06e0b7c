package chaos

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"time"
)

// restartAfter is the pause before a node that ended by itself is started
// again, as a supervisor does.
const restartAfter = 500 * time.Millisecond

// supervise waits for the end of a node's process. One that the test has not
// ended is started again; only a disk that is full or stuck is a
// reason to end.
func (s *site) supervise(k int, cmd *exec.Cmd, done chan struct{}) {
	var from int64
	if st, err := os.Stat(s.path(space(k) + ".log")); err == nil {
		from = st.Size()
	}
	err := cmd.Wait()
	s.mu.Lock()
	p := &s.nodes[k]
	again := !p.ending && p.member && !s.stopped
	if p.cmd == cmd {
		p.cmd = nil
	}
	if again {
		words := s.lastWords(k, from)
		if bytes.Contains(words, []byte("no space left on device")) || bytes.Contains(words, []byte("has been stuck for")) {
			s.disks++
		} else {
			s.ended = append(s.ended, fmt.Sprintf("%s ended by itself (%v): ...%s", space(k), err, words[max(0, len(words)-20000):]))
		}
	}
	s.mu.Unlock()
	close(done)
	if again {
		pause(context.Background(), restartAfter)
		s.start(k)
	}
}

// lastWords is what a process has logged.
func (s *site) lastWords(k int, from int64) []byte {
	b, _ := os.ReadFile(s.path(space(k) + ".log"))
	return b[min(from, int64(len(b))):]
}

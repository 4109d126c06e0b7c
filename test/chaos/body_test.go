package chaos

import (
	"fmt"
	"regexp"
	"strings"
	"time"
)

// sent notes how long a message's text is; the rest of it is known.
func (s *storm) sent(id string, size int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sizes[id] = size
}

// text is the part of a message below its header, as it was sent.
func (s *storm) text(id string) (string, bool) {
	s.mu.Lock()
	size, ok := s.sizes[id]
	s.mu.Unlock()
	_, text, _ := strings.Cut(messageText(id, size), "\r\n\r\n")
	return text, ok
}

var bodyRE = regexp.MustCompile(`BODY\[TEXT\] \{(\d+)\}`)

// bodyIn is the text that a FETCH response holds.
func bodyIn(line string) (string, bool) {
	at := bodyRE.FindStringSubmatchIndex(line)
	if at == nil {
		return "", false
	}
	n, _ := find(bodyRE, line, 1)
	rest := line[at[1]:]
	return rest[:min(int(n), len(rest))], true
}

// read fetches one message's text and compares it with what was sent. It may
// be gone by now, and the object store may be away.
func (c *cell) read(s *session, r row) error {
	lines, _, err := s.do("UID FETCH %d (BODY.PEEK[TEXT])", r.uid)
	if err != nil {
		c.storm.count("body", "no")
		if no, ok := err.(refused); ok && !no.temporary() {
			c.bad("body of %s refused: %s", r.id, no.line)
		}
		return err
	}
	for _, l := range lines {
		got, found := bodyIn(l)
		want, known := c.storm.text(r.id)
		if found && (!known || got != want) {
			c.bad("UID %d, %s: the text has %d bytes and is not the %d sent", r.uid, r.id, len(got), len(want))
		}
		if found {
			c.storm.count("body", "ok")
		}
	}
	return nil
}

// everyText reads the text of every message of a keeper through one node.
func (s *storm) everyText(host, login string) (read int, wrong []string, err error) {
	c, err := s.open(host, login)
	if err != nil {
		return 0, nil, err
	}
	defer c.close()
	v, _, err := c.look(0)
	for from := 0; from < len(v.rows) && err == nil; from += 100 {
		rows := v.rows[from:min(from+100, len(v.rows))]
		var lines []string
		lines, _, err = c.do("UID FETCH %d:%d (BODY.PEEK[TEXT])", rows[0].uid, rows[len(rows)-1].uid)
		got := map[uint32]string{}
		for _, l := range lines {
			uid, _ := find(uidRE, l, 1)
			if text, ok := bodyIn(l); ok {
				got[uint32(uid)] = text
				read++
			}
		}
		for _, r := range rows {
			if want, ok := s.text(r.id); err == nil && (!ok || got[r.uid] != want) {
				wrong = append(wrong, fmt.Sprintf("%s: the text of UID %d, %s, is not what was sent", login, r.uid, r.id))
			}
		}
	}
	return read, wrong, err
}

func (s *storm) open(host, login string) (*session, error) {
	deadline := time.Now().Add(finalWithin)
	for {
		c, err := dialIMAP(s.site.t.Context(), host, login)
		if err == nil || time.Now().After(deadline) {
			return c, err
		}
		pause(s.site.t.Context(), 300*time.Millisecond)
	}
}

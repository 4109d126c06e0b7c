package imap

import "testing"

func TestSmoke(t *testing.T) {
	s := newStack(t)
	c := s.signIn("ann")
	t.Log(c.ok("CAPABILITY"))
	t.Log(c.ok("SELECT INBOX"))
	t.Log(c.append("INBOX", "(\\Seen foo)", hello))
	t.Log(c.ok("NOOP"))
	t.Log(c.ok("FETCH 1 (FLAGS UID RFC822.SIZE ENVELOPE BODYSTRUCTURE BODY[] EMAILID THREADID PREVIEW SAVEDATE MODSEQ)"))
	t.Log(c.ok(`LIST "" *`))
	t.Log(c.ok(`SEARCH TEXT bob`))
	t.Log(c.ok(`STORE 1 +FLAGS (\Deleted)`))
	t.Log(c.ok(`EXPUNGE`))
	t.Log(c.ok("LOGOUT"))
}

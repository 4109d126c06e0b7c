package signin

import (
	"testing"
	"testing/synctest"
	"time"

	"rookery/directory"
)

// TestLockedIsToldToWhoWasProven: a directory that locks an account says so to
// anybody. Told is only who brings the password that was right a moment ago.
func TestLockedIsToldToWhoWasProven(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := oneUser()
		a := New(Options{Directory: s, Limits: Limits{Delay: -1}})
		told := func(password string) directory.Cause {
			_, err := a.Authenticate(t.Context(), from("192.0.2.1"), Credentials{"alice", password})
			return directory.Told(err)
		}
		u := user{t, a, s, from("192.0.2.1"), "alice"}
		u.gets("secret", "", 1)
		alice := s.people["alice"]
		alice.Locked = true
		s.people["alice"] = alice
		s.broken = nil
		s.refuse = directory.Refuse("bind", directory.Refusal{Cause: directory.CauseLocked, Text: "locked"})
		for range 3 { // also when it is asked anew
			if c := told("secret"); c != directory.CauseLocked {
				t.Errorf("the right password is told cause %d", c)
			}
			if c := told("guess"); c != directory.CauseNone {
				t.Errorf("a guess is told cause %d", c)
			}
			time.Sleep(20 * time.Second)
		}
		time.Sleep(time.Hour)
		other := New(Options{Directory: s, Limits: Limits{Delay: -1}})
		if _, err := other.Authenticate(t.Context(), from("192.0.2.1"),
			Credentials{"alice", "secret"}); directory.Told(err) != directory.CauseNone {
			t.Errorf("who remembers nothing tells %v", err)
		}
	})
}

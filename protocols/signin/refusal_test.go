package signin_test

import (
	"strings"
	"testing"
	"testing/synctest"

	"rookery/directory"
)

// TestRefusalsAreToldAfterARightPassword: who has proven the password hears the
// cause from every protocol in its own form (RFC 5530 for IMAP); who has not
// hears what is said of a wrong password.
func TestRefusalsAreToldAfterARightPassword(t *testing.T) {
	says := map[directory.Cause][3]string{ // IMAP, POP3, SMTP
		directory.CauseDisabled:  {"a NO [CONTACTADMIN] ", "-ERR [AUTH] The account is disabled", "535 5.7.13 "},
		directory.CauseExpired:   {"a NO [EXPIRED] ", "-ERR [AUTH] The password has expired", "535 5.7.0 The password has expired"},
		directory.CauseForbidden: {"a NO [AUTHORIZATIONFAILED] ", "-ERR [AUTH] The account may not sign in now", "535 5.7.1 "},
		directory.CauseLocked:    {"a NO [CONTACTADMIN] ", "-ERR [AUTH] The account is locked", "535 5.7.0 The account is locked"},
	}
	nothing := [3]string{"a NO [AUTHENTICATIONFAILED] ", "-ERR [AUTH] Wrong user name or password", "535 5.7.8 "}
	for _, cause := range directory.Causes() {
		for _, proven := range []bool{true, false} {
			synctest.Test(t, func(t *testing.T) {
				p := serve(t)
				p.directory.refuse = func(string) error {
					return directory.Refuse("bind", directory.Refusal{Cause: cause, Proven: proven, Text: "the log alone has this"})
				}
				want := nothing
				if proven {
					want = says[cause]
				}
				once := func() string { return "secret" }
				got := [3]string{p.byIMAP("192.0.2.1", once)[0], p.byPOP3("192.0.2.1", once)[0], p.bySMTP("192.0.2.1", "secret")}
				for i := range got {
					if want[i] == "" || !strings.HasPrefix(got[i], want[i]) || strings.Contains(got[i], "the log alone") {
						t.Errorf("cause %d, proven %v: %q, want %q", cause, proven, got[i], want[i])
					}
				}
			})
		}
	}
}

package smtp

import (
	"fmt"
	"strconv"
	"strings"

	"rookery/protocols/listen"
)

// shown is how many recipients a log line names.
const shown = 20

// refused logs, once, that a session, a sender, a recipient or a message was
// refused or deferred. Sign-ins are logged by package signin.
func (s *session) refused(command, from, to string, r Reply) {
	user := ""
	if s.user != nil {
		user = s.user.Login
	} else if s.grant != nil {
		user = s.grant.Name
	}
	listen.Refusal{
		Protocol: "smtp", Session: s.id, Client: s.conn.ip, User: user, Command: command, From: from, To: to,
		Code: strconv.Itoa(r.Code), Why: r.Text, Deferred: r.Code < 500, Err: s.cause,
	}.Log(s.server.o.Logger)
	s.cause = nil
}

// note logs the reply to MAIL or RCPT where it is no 250.
func (s *session) note(verb, arg string, r Reply) {
	if r.Code < 400 {
		s.cause = nil
		return
	}
	switch verb {
	case "MAIL":
		s.refused(verb, argument(arg), "", r)
	case "RCPT":
		from := ""
		if s.tx != nil {
			from = s.tx.from
		}
		s.refused(verb, from, argument(arg), r)
	}
}

// argument is the path in an argument of MAIL or RCPT, or the argument as it is.
func argument(arg string) string {
	if _, path, ok := strings.Cut(arg, "<"); ok {
		arg, _, _ = strings.Cut(path, ">")
	}
	return arg
}

// to names a transaction's recipients for the log.
func (tx *transaction) to() string {
	all := tx.addresses()
	if more := len(all) - shown; more > 0 {
		all = append(all[:shown:shown], fmt.Sprintf("and %d more", more))
	}
	return strings.Join(all, ", ")
}

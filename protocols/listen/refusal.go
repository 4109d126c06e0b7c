package listen

import (
	"context"
	"log/slog"
	"strings"
	"unicode"
)

// Refusal is what a client was refused, or told to try again later, as it stands
// in the log: in the same fields in every protocol. What is empty is left out.
type Refusal struct {
	Protocol, Session, Client string
	// User is who has signed in, Command what was refused.
	User, Command string
	// From and To are the sender and the recipients of a message.
	From, To string
	// Code is the protocol's, Why the text of the answer.
	Code, Why string
	// Deferred says that the client may try again.
	Deferred bool
	// Err is what the client was not told; it never holds a secret.
	Err error
}

// Log writes the one line of a refusal: a warning where the fault is not the
// client's.
func (r Refusal) Log(l *slog.Logger) {
	msg, level := "refused", slog.LevelInfo
	if r.Deferred {
		msg = "deferred"
		if r.Err != nil {
			level = slog.LevelWarn
		}
	}
	var fields []slog.Attr
	add := func(name, value string, most int) {
		if value != "" {
			fields = append(fields, slog.String(name, forLog(value, most)))
		}
	}
	for _, f := range []struct{ name, value string }{
		{"protocol", r.Protocol}, {"session", r.Session}, {"client", r.Client}, {"user", r.User}, {"command", r.Command}, {"from", r.From},
	} {
		add(f.name, f.value, maxForLog)
	}
	add("to", r.To, maxTo)
	add("code", r.Code, maxForLog)
	add("why", r.Why, maxForLog)
	if r.Err != nil {
		add("error", r.Err.Error(), maxForLog)
	}
	l.LogAttrs(context.Background(), level, msg, fields...)
}

// What a log line takes of a text from outside, and of a list of recipients, in
// bytes.
const (
	maxForLog = 320
	maxTo     = 2000
)

// ForLog is text from outside as a log line takes it: bounded, and without
// characters that a terminal or another line could be made of.
func ForLog(s string) string { return forLog(s, maxForLog) }

func forLog(s string, most int) string {
	if len(s) > most {
		s = s[:most-3] + "..."
	}
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, strings.ToValidUTF8(s, "?"))
}

package smtp

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// mailParams are what MAIL says beside the sender. DELIVERBY (RFC 2852) gets a row
// of mailParameters, once EHLO offers it.
type mailParams struct {
	size       int64  // as announced (RFC 1870); 0 where it was not
	utf8       bool   // RFC 6531
	returns    string // FULL, HDRS or nothing (RFC 3461 4.3)
	envelopeID string // RFC 3461 4.4
	holdFor    time.Duration
	holdUntil  time.Time // RFC 4865 4.3; one of both at most
}

// rcptParams are what RCPT says beside the recipient (RFC 3461 4.1, 4.2).
type rcptParams struct {
	notify   []string // NEVER alone, or some of SUCCESS, FAILURE, DELAY
	original string   // type;address
}

// parameter reads the value of one parameter; given tells whether there was one.
type parameter[P any] func(p *P, value string, given bool) error

// errParameter is in the chain where a parameter is known but its value is not
// what it takes.
var errParameter = errors.New("the value is malformed")

var mailParameters = map[string]parameter[mailParams]{
	"SIZE": func(p *mailParams, v string, _ bool) error {
		n, err := strconv.ParseUint(v, 10, 64)
		if errors.Is(err, strconv.ErrRange) && len(v) <= 20 {
			n, err = 1<<63-1, nil
		}
		p.size = int64(min(n, 1<<63-1))
		return wrong(err != nil)
	},
	"BODY": func(_ *mailParams, v string, _ bool) error {
		return wrong(!oneOf(v, "7BIT", "8BITMIME"))
	},
	"SMTPUTF8": func(p *mailParams, _ string, given bool) error {
		p.utf8 = true
		return wrong(given)
	},
	"RET": func(p *mailParams, v string, _ bool) error {
		p.returns = strings.ToUpper(v)
		return wrong(!oneOf(v, "FULL", "HDRS"))
	},
	"ENVID": func(p *mailParams, v string, _ bool) (err error) {
		p.envelopeID, err = xtext(v, 100)
		return err
	},
	"HOLDFOR":   holdFor,
	"HOLDUNTIL": holdUntil,
	// Who sent it first, as another server says (RFC 4954 5). It is not trusted.
	"AUTH": func(_ *mailParams, v string, _ bool) error {
		_, err := xtext(v, 500)
		return err
	},
}

var rcptParameters = map[string]parameter[rcptParams]{
	"NOTIFY": func(p *rcptParams, v string, _ bool) error {
		p.notify = strings.Split(strings.ToUpper(v), ",")
		for _, on := range p.notify {
			if !oneOf(on, "SUCCESS", "FAILURE", "DELAY") && (on != "NEVER" || len(p.notify) > 1) {
				return errParameter
			}
		}
		return nil
	},
	"ORCPT": func(p *rcptParams, v string, _ bool) error {
		kind, address, ok := strings.Cut(v, ";")
		text, err := xtext(address, 500)
		p.original = kind + ";" + text
		return errors.Join(err, wrong(!ok || kind == ""))
	},
}

func wrong(is bool) error {
	if is {
		return errParameter
	}
	return nil
}

func oneOf(v string, of ...string) bool {
	for _, o := range of {
		if strings.EqualFold(v, o) {
			return true
		}
	}
	return false
}

// parseParams reads the parameters behind a path (RFC 5321 4.1.2).
func parseParams[P any](table map[string]parameter[P], text string) (p P, refusal *Reply) {
	seen := map[string]bool{}
	for field := range strings.FieldsSeq(text) {
		key, value, given := strings.Cut(field, "=")
		key = strings.ToUpper(key)
		read, ok := table[key]
		switch {
		case !ok:
			return p, refuse(555, enhanced{5, 5, 4}, "The parameter "+clean(key)+" is not known")
		case seen[key]:
			return p, refuse(501, enhanced{5, 5, 4}, "The parameter "+key+" is given twice")
		case read(&p, value, given) != nil:
			return p, refuse(501, enhanced{5, 5, 4}, "The parameter "+key+" has a value that it cannot have")
		}
		seen[key] = true
	}
	return p, nil
}

// xtext decodes RFC 3461 4 to printable US-ASCII of at most most characters, or
// UTF-8.
func xtext(s string, most int) (string, error) {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c == '+' {
			n, err := strconv.ParseUint(s[i+1:min(i+3, len(s))], 16, 8)
			if err != nil || i+2 >= len(s) {
				return "", errParameter
			}
			c = byte(n)
			i += 2
		} else if c == '=' {
			return "", errParameter
		}
		if c < ' ' || c == 0x7f {
			return "", errParameter
		}
		b.WriteByte(c)
	}
	if b.Len() == 0 || b.Len() > most {
		return "", errParameter
	}
	return b.String(), nil
}

// cutPath takes the path behind FROM: or TO: from an argument (RFC 5321 4.1.2):
// the address with its local part unquoted, "" for the null sender, and the
// parameters. A source route is dropped, as RFC 5321 3.3 permits; angle brackets
// may lack and blanks may follow the colon, as devices send it.
func cutPath(arg, keyword string) (address, params string, err error) {
	if len(arg) < len(keyword) || !strings.EqualFold(arg[:len(keyword)], keyword) {
		return "", "", fmt.Errorf("the form is %s<address>", keyword)
	}
	rest := strings.TrimLeft(arg[len(keyword):], " ")
	if !strings.HasPrefix(rest, "<") {
		address, params, _ = strings.Cut(rest, " ")
		if address == "" || strings.ContainsAny(address, "<>\"") {
			return "", "", fmt.Errorf("the form is %s<address>", keyword)
		}
		return address, params, nil
	}
	rest = rest[1:]
	if strings.HasPrefix(rest, "@") {
		_, after, ok := strings.Cut(rest, ":")
		if !ok {
			return "", "", errors.New("the source route has no end")
		}
		rest = after
	}
	local, rest, err := cutLocal(rest)
	if err != nil {
		return "", "", err
	}
	domain, params, ok := strings.Cut(rest, ">")
	switch {
	case !ok:
		return "", "", errors.New("the closing > is missing")
	case params != "" && params[0] != ' ':
		return "", "", errors.New("a blank belongs behind the closing >")
	case strings.ContainsAny(domain, " <\""):
		return "", "", errors.New("the domain is malformed")
	}
	return local + domain, params, nil
}

// cutLocal takes the local part, unquoted, up to the @ or the end of the path.
func cutLocal(s string) (local, rest string, err error) {
	if !strings.HasPrefix(s, `"`) {
		end := strings.IndexAny(s, "@> \"<")
		if end < 0 {
			end = len(s)
		}
		return s[:end], s[end:], nil
	}
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		switch s[i] {
		case '"':
			if b.Len() == 0 {
				return "", "", errors.New("the local part is empty")
			}
			return b.String(), s[i+1:], nil
		case '\\':
			if i++; i == len(s) {
				return "", "", errors.New("the quoted local part has no end")
			}
		}
		b.WriteByte(s[i])
	}
	return "", "", errors.New("the quoted local part has no end")
}

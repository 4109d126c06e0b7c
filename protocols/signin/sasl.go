package signin

import (
	"encoding/base64"
	"errors"
	"strings"

	"rookery"
)

// The mechanisms, in the order in which to offer them. LOGIN is what Outlook
// and many devices speak.
const (
	Plain = "PLAIN"
	Login = "LOGIN"
)

// maxLine is the most octets of a line of base64 (RFC 4954 4.).
const maxLine = 12288

// The errors of an exchange; none is temporary. ErrIdentity alone may follow a
// well-formed message, and then counts as a failed sign-in of Credentials.User.
var (
	ErrMechanism = errors.New("the mechanism is not supported; use PLAIN or LOGIN")
	ErrCancelled = errors.New("the client cancelled the exchange")
	ErrBase64    = errors.New("the SASL response is not base64")
	ErrMalformed = errors.New("the SASL response is not what the mechanism asks for")
	ErrIdentity  = errors.New("acting as another user is not permitted")
)

// Credentials are what a client claims; nothing is known to be true of them.
type Credentials struct{ User, Password string }

// Exchange is the server's side of one sign-in; it is for one goroutine.
type Exchange struct {
	credentials Credentials
	next        func(response []byte) (challenge []byte, done bool, err error)
}

// Begin makes the exchange of a mechanism, in any case of letters.
// ErrMechanism: there is none of that name.
func Begin(mechanism string) (*Exchange, error) {
	x := &Exchange{}
	switch strings.ToUpper(mechanism) {
	case Plain:
		x.next = x.plain
	case Login:
		x.next = x.user
	default:
		return nil, ErrMechanism
	}
	return x, nil
}

// Next takes a response, decoded, and gives the next challenge, or done when
// the Credentials are complete. The first response is nil where the client
// sent none with its command. After done or an error it gives ErrMalformed.
func (x *Exchange) Next(response []byte) (challenge []byte, done bool, err error) {
	next := x.next
	x.next = x.over
	return next(response)
}

// Credentials are what the exchange has brought so far.
func (x *Exchange) Credentials() Credentials { return x.credentials }

func (x *Exchange) over([]byte) ([]byte, bool, error) { return nil, false, ErrMalformed }

// plain takes identity NUL user NUL password. The identity to act as must be
// the user's own.
func (x *Exchange) plain(response []byte) ([]byte, bool, error) {
	if response == nil {
		x.next = x.plain
		return []byte{}, false, nil
	}
	part := strings.Split(string(response), "\x00")
	if len(part) != 3 {
		return nil, false, ErrMalformed
	}
	x.credentials = Credentials{part[1], part[2]}
	if part[0] != "" && rookery.FoldLocal(part[0]) != rookery.FoldLocal(part[1]) {
		return nil, false, ErrIdentity
	}
	return nil, true, nil
}

// user takes LOGIN's first response. Clients want exactly these prompts.
func (x *Exchange) user(response []byte) ([]byte, bool, error) {
	if response == nil {
		x.next = x.user
		return []byte("Username:"), false, nil
	}
	user, err := noNUL(response)
	if err != nil {
		return nil, false, err
	}
	x.credentials.User, x.next = user, x.password
	return []byte("Password:"), false, nil
}

func (x *Exchange) password(response []byte) ([]byte, bool, error) {
	password, err := noNUL(response)
	x.credentials.Password = password
	return nil, err == nil, err
}

func noNUL(response []byte) (string, error) {
	s := string(response)
	if strings.Contains(s, "\x00") {
		return "", ErrMalformed
	}
	return s, nil
}

// Run has the whole exchange. initial is the initial response as the command
// carried it ("=" for an empty one), given whether it carried any; ask sends a
// challenge, in base64, and gives the client's line without its end. ask's
// error ends it and is returned as it is. With ErrIdentity the Credentials are
// given too.
func Run(mechanism, initial string, given bool, ask func(challenge string) (line string, err error)) (Credentials, error) {
	x, err := Begin(mechanism)
	if err != nil {
		return Credentials{}, err
	}
	var response []byte
	if given && initial == "=" {
		response = []byte{}
	} else if given {
		response, err = decode(initial)
	}
	for err == nil {
		challenge, done, failed := x.Next(response)
		if failed != nil || done {
			return x.Credentials(), failed
		}
		var line string
		if line, err = ask(base64.StdEncoding.EncodeToString(challenge)); err == nil {
			response, err = decode(line)
		}
	}
	return Credentials{}, err
}

// decode reads a line of the client; never nil without an error.
func decode(line string) ([]byte, error) {
	switch {
	case line == "*":
		return nil, ErrCancelled
	case len(line) > maxLine:
		return nil, ErrMalformed
	}
	b := make([]byte, base64.StdEncoding.DecodedLen(len(line)))
	n, err := base64.StdEncoding.Decode(b, []byte(line))
	if err != nil {
		return nil, ErrBase64
	}
	return b[:n], nil
}

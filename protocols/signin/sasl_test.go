package signin

import (
	"encoding/base64"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
)

func b64(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }

// run answers the challenges with lines and gives those that were asked.
func run(mechanism, initial string, given bool, lines ...string) (c Credentials, asked []string, err error) {
	c, err = Run(mechanism, initial, given, func(challenge string) (string, error) {
		asked = append(asked, challenge)
		if len(lines) == 0 {
			return "", io.ErrUnexpectedEOF
		}
		line := lines[0]
		lines = lines[1:]
		return line, nil
	})
	return c, asked, err
}

func TestExchanges(t *testing.T) {
	anna, user, password := Credentials{"anna", "pass word"}, b64("Username:"), b64("Password:")
	for name, tt := range map[string]struct {
		mechanism, initial string
		given              bool
		lines, asked       []string
		want               Credentials
		err                error
	}{
		"PLAIN with initial response":    {"PLAIN", b64("\x00anna\x00pass word"), true, nil, nil, anna, nil},
		"PLAIN asked":                    {"plain", "", false, []string{b64("\x00anna\x00pass word")}, []string{""}, anna, nil},
		"PLAIN as oneself":               {"PLAIN", b64("ANNA\x00anna\x00pass word"), true, nil, nil, anna, nil},
		"PLAIN as another":               {"PLAIN", b64("bert\x00anna\x00pass word"), true, nil, nil, anna, ErrIdentity},
		"PLAIN, two parts":               {"PLAIN", b64("anna\x00pass word"), true, nil, nil, Credentials{}, ErrMalformed},
		"PLAIN, four parts":              {"PLAIN", b64("\x00anna\x00pass\x00word"), true, nil, nil, Credentials{}, ErrMalformed},
		"PLAIN, empty initial response":  {"PLAIN", "=", true, nil, nil, Credentials{}, ErrMalformed},
		"PLAIN, = is an initial one":     {"PLAIN", "", false, []string{"="}, []string{""}, Credentials{}, ErrBase64},
		"PLAIN, no base64":               {"PLAIN", "anna", true, nil, nil, Credentials{}, ErrMalformed},
		"PLAIN, bad base64":              {"PLAIN", "ann*", true, nil, nil, Credentials{}, ErrBase64},
		"PLAIN, cancelled":               {"PLAIN", "", false, []string{"*"}, []string{""}, Credentials{}, ErrCancelled},
		"PLAIN, too long":                {"PLAIN", strings.Repeat("A", maxLine+4), true, nil, nil, Credentials{}, ErrMalformed},
		"PLAIN, the connection ends":     {"PLAIN", "", false, nil, []string{""}, Credentials{}, io.ErrUnexpectedEOF},
		"LOGIN":                          {"LOGIN", "", false, []string{b64("anna"), b64("pass word")}, []string{user, password}, anna, nil},
		"LOGIN with initial response":    {"Login", b64("anna"), true, []string{b64("pass word")}, []string{password}, anna, nil},
		"LOGIN, empty initial response":  {"LOGIN", "=", true, []string{b64("x")}, []string{password}, Credentials{"", "x"}, nil},
		"LOGIN, cancelled at the second": {"LOGIN", "", false, []string{b64("anna"), "*"}, []string{user, password}, Credentials{}, ErrCancelled},
		"LOGIN, a NUL in the name":       {"LOGIN", b64("an\x00na"), true, nil, nil, Credentials{}, ErrMalformed},
		"another mechanism":              {"CRAM-MD5", "", false, nil, nil, Credentials{}, ErrMechanism},
	} {
		c, asked, err := run(tt.mechanism, tt.initial, tt.given, tt.lines...)
		if c != tt.want || !errors.Is(err, tt.err) || !slices.Equal(asked, tt.asked) {
			t.Errorf("%s: %+v, asked %q, %v", name, c, asked, err)
		}
	}
}

func TestExchangeEndsOnce(t *testing.T) {
	for _, mechanism := range []string{Plain, Login} {
		x, err := Begin(mechanism)
		if err != nil {
			t.Fatal(err)
		}
		for done := false; !done && err == nil; {
			_, done, err = x.Next([]byte("\x00a\x00b")[map[string]int{Plain: 0, Login: 3}[mechanism]:])
		}
		if err != nil {
			t.Errorf("%s: %v", mechanism, err)
		}
		if _, done, err := x.Next([]byte("\x00a\x00b")); done || err != ErrMalformed {
			t.Errorf("%s goes on behind its end: %v", mechanism, err)
		}
	}
}

// Whatever a client sends, an exchange ends after at most three responses, with
// an error or with credentials that hold no NUL and were in what was sent.
func FuzzRun(f *testing.F) {
	f.Add("PLAIN", b64("\x00anna\x00secret"), true, "", "")
	f.Add("PLAIN", "", false, b64("bert\x00anna\x00secret"), "*")
	f.Add("LOGIN", "", false, b64("anna"), b64("secret"))
	f.Add("login", "=", true, "*", "====")
	f.Fuzz(func(t *testing.T, mechanism, initial string, given bool, first, second string) {
		c, asked, err := run(mechanism, initial, given, first, second)
		if len(asked) > 3 {
			t.Fatalf("%d challenges", len(asked))
		}
		if err != nil && !errors.Is(err, ErrIdentity) && c != (Credentials{}) {
			t.Errorf("credentials with %v", err)
		}
		if strings.Contains(c.User+c.Password, "\x00") {
			t.Errorf("a NUL in %+v", c)
		}
	})
}

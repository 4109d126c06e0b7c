package relay

import (
	"errors"
	"net/netip"
	"testing"
	"time"

	"rookery"
	"rookery/protocols/signin"
)

func TestCredentialsSignInWithinTheLimits(t *testing.T) {
	now := time.Unix(1e9, 0)
	secret := NewSecret()
	sender, _ := ParseSender("scan@example.com")
	rows := map[string]Credential{"scanner": {Name: "scanner", Hash: HashSecret(secret), Senders: []Sender{sender}, Rate: 60}}
	var away error
	g := New(Options{Rules: func() Rules { return Rules{} }, Local: func(string) bool { return true },
		Credential: func(name string) (Credential, bool, error) { x, ok := rows[name]; return x, ok, away },
		Limits:     signin.Limits{Delay: -1}, Clock: func() time.Time { return now }})
	try := func(name, secret string) (*Grant, error) {
		at := signin.Attempt{Protocol: "smtp", Client: netip.MustParseAddrPort("203.0.113.5:9")}
		return g.SignIn(t.Context(), at, signin.Credentials{User: name, Password: secret})
	}
	for _, c := range [][2]string{{"scanner", secret + "x"}, {"scanner", secret[1:]}, {"nobody", secret}, {"scan", secret}} {
		if _, err := try(c[0], c[1]); !rookery.Is(err, rookery.KindCredentials) {
			t.Errorf("%s: %v", c[0], err)
		}
	}
	grant, err := try("scanner", secret)
	if err != nil {
		t.Fatal(err)
	}
	// The senders are its own: the cluster's domains are not, as for networks.
	if !grant.May(rookery.Address{Local: "scan", Domain: "example.com"}) || grant.May(rookery.Address{Local: "ceo", Domain: "example.com"}) {
		t.Error("it may send as another than it was given")
	}
	taken := 0
	for grant.Take() {
		taken++
	}
	if now = now.Add(90 * time.Second); taken != 60 || !grant.Take() || grant.Take() {
		t.Errorf("%d recipients at once and one a minute later, want 60 and 1", taken)
	}
	if again, err := g.Renew(grant); err != nil || again == nil {
		t.Errorf("%v %v", again, err)
	}
	away = rookery.E("read", rookery.KindDamaged, nil)
	if _, err := g.Renew(grant); err == nil {
		t.Error("a store that fails says nothing")
	}
	if _, err := try("scanner", secret); !rookery.Is(err, rookery.KindUnavailable) {
		t.Errorf("a store that fails refuses the secret: %v", err)
	}
	away = nil
	x := rows["scanner"]
	x.Hash = HashSecret(NewSecret())
	rows["scanner"] = x
	if again, err := g.Renew(grant); err != nil || again != nil {
		t.Errorf("with another secret it still may: %v %v", again, err)
	}
	if _, err := try("scanner", secret); !rookery.Is(err, rookery.KindCredentials) {
		t.Errorf("the secret of before, whose check is remembered: %v", err)
	}
	for range 1000 {
		if _, err = try("scanner", NewSecret()); errors.Is(err, signin.ErrOverdrawn) {
			return
		}
	}
	t.Errorf("a thousand guesses are looked at: %v", err)
}

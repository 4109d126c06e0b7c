package ldap

import (
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	ber "github.com/go-asn1-ber/asn1-ber"
	goldap "github.com/go-ldap/ldap/v3"
	"github.com/hashicorp/go-hclog"
	"github.com/jimlambrt/gldap"

	"rookery"
	"rookery/directory"
	"rookery/directory/ldap/result"
)

// windows is a fake of what only Windows answers: it has one user, alice, and
// binds her with whatever the test sets.
type windows struct {
	url      string
	bindCode atomic.Int32
	bindText atomic.Value // string
	svcCode  atomic.Int32 // of the service account
	svcBinds atomic.Int32
	search   atomic.Int32 // result code of user searches
	loose    atomic.Bool  // matches like Active Directory: accents do not count
}

func startWindows(t *testing.T) *windows {
	t.Helper()
	w := &windows{}
	w.bindText.Store("")
	srv, err := gldap.NewServer(gldap.WithLogger(hclog.NewNullLogger()))
	if err != nil {
		t.Fatal(err)
	}
	mux, err := gldap.NewMux()
	if err != nil {
		t.Fatal(err)
	}
	mux.Bind(w.bind)
	mux.Search(w.find)
	if err := srv.Router(mux); err != nil {
		t.Fatal(err)
	}
	addr := fmt.Sprintf("127.0.0.1:%d", freePort(t))
	w.url = "ldap://" + addr
	ended := make(chan error, 1)
	go func() { ended <- srv.Run(addr) }()
	eventually(t, "the fake listens", func() bool {
		c, err := net.Dial("tcp", addr)
		if err == nil {
			c.Close()
		}
		return err == nil
	})
	// Cleanups run last in, first out: the directory, opened later, closes its
	// connections before this, which would wait for them.
	t.Cleanup(func() { srv.Stop(); <-ended })
	return w
}

func (w *windows) bind(rw *gldap.ResponseWriter, r *gldap.Request) {
	resp := r.NewBindResponse(gldap.WithResponseCode(gldap.ResultSuccess))
	defer func() { rw.Write(resp) }()
	m, err := r.GetSimpleBindMessage()
	if err != nil {
		return
	}
	if strings.HasPrefix(m.UserName, "svc") {
		w.svcBinds.Add(1)
		resp.SetResultCode(int(w.svcCode.Load()))
		return
	}
	resp.SetResultCode(int(w.bindCode.Load()))
	resp.SetDiagnosticMessage(w.bindText.Load().(string))
}

func (w *windows) find(rw *gldap.ResponseWriter, r *gldap.Request) {
	done := r.NewSearchDoneResponse(gldap.WithResponseCode(gldap.ResultSuccess))
	defer func() { rw.Write(done) }()
	m, err := r.GetSearchMessage()
	if err != nil {
		return
	}
	guid := "0123456789abcdef"
	switch {
	case m.BaseDN == "":
		rw.Write(r.NewSearchResponseEntry("", gldap.WithAttributes(map[string][]string{
			"supportedCapabilities": {"1.2.840.113556.1.4.800"}, "defaultNamingContext": {"DC=corp,DC=test"},
			"configurationNamingContext": {"CN=Configuration,DC=corp,DC=test"},
		})))
	case strings.HasPrefix(m.BaseDN, "CN=Partitions"):
		rw.Write(r.NewSearchResponseEntry("CN=CORP,"+m.BaseDN, gldap.WithAttributes(map[string][]string{"nETBIOSName": {"CORP"}})))
	case m.Scope == gldap.BaseObject:
		rw.Write(r.NewSearchResponseEntry(m.BaseDN))
	default:
		done.SetResultCode(int(w.search.Load()))
		if strings.Contains(m.Filter, "alice") || w.loose.Load() {
			rw.Write(r.NewSearchResponseEntry("CN=Alice,DC=corp,DC=test", gldap.WithAttributes(map[string][]string{
				"objectGUID": {guid}, "sAMAccountName": {"alice"}, "mail": {"alice@example.test"},
				"proxyAddresses":        {"SMTP:Alice.Smith@example.test", "smtp:a.smith@example.test", "X500:/o=x", "SIP:alice@example.test"},
				"mDBOverHardQuotaLimit": {"1048576"}, "userAccountControl": {"512"}, "accountExpires": {"9223372036854775807"},
			})))
		}
	}
}

func (w *windows) config() Config {
	c := impatient(Default())
	c.Name, c.URLs, c.Domains, c.Base = "ad", []string{w.url}, []string{"example.test"}, "DC=corp,DC=test"
	c.BindDN, c.Password = "svc@corp.test", "svc"
	return c
}

func TestWindowsAnswers(t *testing.T) {
	w := startWindows(t)
	d := openDirectory(t, w.config())
	if d.Profile() != "ad" {
		t.Fatalf("profile %q %+v", d.Profile(), d.Health())
	}
	data := func(s string) string {
		return "80090308: LdapErr: DSID-0C090447, comment: AcceptSecurityContext error, data " + s + ", v3839"
	}
	for _, c := range []struct {
		code       int
		text, want string
	}{
		{0, "", "ok"},
		{49, data("52e"), "credentials"},
		{49, data("525"), "credentials"},
		{49, data("530"), "disabled"},
		{49, data("531"), "disabled"},
		{49, data("532"), "disabled"},
		{49, data("533"), "disabled"},
		{49, data("701"), "disabled"},
		{49, data("773"), "disabled"},
		{49, data("775"), "disabled"},
		{49, data("57"), "credentials"},
		{49, "", "credentials"},
		{48, "", "credentials"},
		{53, "Account inactivated. Contact system administrator.", "disabled"},
		{53, "0000202B: the server is not in the mood", "unavailable"},
		{19, "Exceed password retry limit. Please try later.", "disabled"},
		{8, "00002028: LdapErr: DSID-0C090259, comment: The server requires binds to turn on integrity checking", "unavailable"},
		{13, "", "unavailable"}, {10, "", "unavailable"}, {1, "", "unavailable"}, {51, "", "unavailable"},
		{52, "", "unavailable"}, {80, "", "unavailable"}, {32, "", "unavailable"},
	} {
		w.bindCode.Store(int32(c.code))
		w.bindText.Store(c.text)
		eventually(t, "up again", func() bool { return d.Health()[0].Up })
		if _, err := d.Authenticate(t.Context(), `CORP\alice`, "secret"); kindOf(err) != c.want {
			t.Errorf("%d %q: %v, want %s", c.code, c.text, err, c.want)
		}
	}
}

// TestCausesOfRefusals: what the servers say of an account, and which of it may
// be told, because they say it after a right password only.
func TestCausesOfRefusals(t *testing.T) {
	w := startWindows(t)
	d := openDirectory(t, w.config())
	for _, c := range []struct {
		code int
		text string
		told directory.Cause
	}{
		{49, "data 52e, v1", directory.CauseNone}, {49, "data 525, v1", directory.CauseNone},
		{49, "data 530, v1", directory.CauseForbidden}, {49, "data 531, v1", directory.CauseForbidden},
		{49, "data 532, v1", directory.CauseExpired}, {49, "data 773, v1", directory.CauseExpired},
		{49, "data 533, v1", directory.CauseDisabled}, {49, "data 701, v1", directory.CauseDisabled},
		{49, "data 775, v1", directory.CauseNone}, // to anybody
		{53, "Account inactivated. Contact system administrator.", directory.CauseNone},
		{19, "Exceed password retry limit. Please try later.", directory.CauseNone},
	} {
		w.bindCode.Store(int32(c.code))
		w.bindText.Store(c.text)
		if _, err := d.Authenticate(t.Context(), `CORP\alice`, "secret"); err == nil || directory.Told(err) != c.told {
			t.Errorf("%d %q: %v tells cause %d, want %d", c.code, c.text, err, directory.Told(err), c.told)
		}
	}
	behera := func(code int8) *goldap.SimpleBindResult {
		return &goldap.SimpleBindResult{Controls: []goldap.Control{&goldap.ControlBeheraPasswordPolicy{Error: code}}}
	}
	vchu := &goldap.SimpleBindResult{Controls: []goldap.Control{&goldap.ControlVChuPasswordMustChange{MustChange: true}}}
	refused := goldap.NewError(goldap.LDAPResultInvalidCredentials, errors.New("no"))
	for _, c := range []struct {
		res  *goldap.SimpleBindResult
		err  error
		told directory.Cause
	}{
		{behera(goldap.BeheraChangeAfterReset), nil, directory.CauseExpired},
		{behera(goldap.BeheraPasswordExpired), refused, directory.CauseExpired},
		{behera(goldap.BeheraAccountLocked), refused, directory.CauseNone}, {behera(goldap.BeheraAccountLocked), nil, directory.CauseLocked},
		{vchu, nil, directory.CauseExpired}, {vchu, refused, directory.CauseExpired}, {nil, refused, directory.CauseNone},
	} {
		if verdict, known := result.Judge(c.res, c.err); !known || verdict == nil || directory.Told(verdict) != c.told {
			t.Errorf("%+v %v: %v tells cause %d, want %d", c.res, c.err, verdict, directory.Told(verdict), c.told)
		}
	}
}

func TestWindowsSearches(t *testing.T) {
	w := startWindows(t)
	d := openDirectory(t, w.config())
	e, err := d.Recipient(t.Context(), address(t, "A.Smith@example.test"))
	// The fake matches on "alice"; a.smith is found through Find below.
	if !rookery.Is(err, rookery.KindNotFound) {
		t.Errorf("%+v %v", e, err)
	}
	e, err = d.Recipient(t.Context(), address(t, "alice@example.test"))
	if err != nil || e.Primary.String() != "Alice.Smith@example.test" || len(e.Addresses) != 3 || e.Quota != 1<<30 || e.Disabled ||
		e.Key != "ad/30313233343536373839616263646566" {
		t.Errorf("%+v %v", e, err)
	}
	w.loose.Store(true) // as "alicé" finds alice
	if _, err := d.Recipient(t.Context(), address(t, "aliçe@example.test")); !rookery.Is(err, rookery.KindNotFound) {
		t.Errorf("a loose match is taken for the address: %v", err)
	}
	for _, code := range []int32{4, 10, 1, 3, 11, 32, 50, 51, 52, 53, 80} {
		w.search.Store(code)
		eventually(t, "up again", func() bool { return d.Health()[0].Up })
		if _, err := d.Recipient(t.Context(), address(t, "alice@example.test")); !rookery.Is(err, rookery.KindUnavailable) {
			t.Errorf("search result %d: %v", code, err)
		}
		if _, err := d.Authenticate(t.Context(), "alice", "secret"); !rookery.Is(err, rookery.KindUnavailable) {
			t.Errorf("search result %d: %v", code, err)
		}
	}
}

// rude answers every connection with the same bytes.
func rude(t *testing.T, answer []byte) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				c.Read(make([]byte, 1024))
				c.Write(answer)
				io.Copy(io.Discard, c)
			}()
		}
	}()
	return "ldap://" + l.Addr().String()
}

func TestRudeServers(t *testing.T) {
	for name, answer := range map[string][]byte{
		"HTTP":    []byte("HTTP/1.1 400 Bad Request\r\n\r\n"),
		"huge":    {0x30, 0x84, 0x7f, 0xff, 0xff, 0xff},
		"cut":     {0x30, 0x0c, 0x02, 0x01},
		"silence": nil,
		"notice":  notice(),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := impatient(Default())
			c.Name, c.URLs, c.Domains, c.Base = "x", []string{rude(t, answer)}, []string{"example.test"}, "dc=x"
			c.BindDN, c.Password = "cn=svc", "svc"
			d := openDirectory(t, c)
			start := time.Now()
			if _, err := d.Authenticate(t.Context(), "alice", "secret"); !rookery.Is(err, rookery.KindUnavailable) {
				t.Error(err)
			}
			if time.Since(start) > time.Minute {
				t.Error("too slow")
			}
		})
	}
}

// notice is an unsolicited Notice of Disconnection (RFC 4511 4.4.1).
func notice() []byte {
	p := ber.NewSequence("")
	p.AppendChild(ber.NewInteger(ber.ClassUniversal, ber.TypePrimitive, ber.TagInteger, int64(0), ""))
	op := ber.Encode(ber.ClassApplication, ber.TypeConstructed, 24, nil, "")
	op.AppendChild(ber.NewInteger(ber.ClassUniversal, ber.TypePrimitive, ber.TagEnumerated, int64(52), ""))
	op.AppendChild(ber.NewString(ber.ClassUniversal, ber.TypePrimitive, ber.TagOctetString, "", ""))
	op.AppendChild(ber.NewString(ber.ClassUniversal, ber.TypePrimitive, ber.TagOctetString, "going down", ""))
	p.AppendChild(op)
	return p.Bytes()
}

func TestJudgeWithoutAnswer(t *testing.T) {
	for _, err := range []error{errors.New("EOF"), io.ErrUnexpectedEOF} {
		if _, known := result.Judge(nil, err); known {
			t.Errorf("%v is taken for a verdict", err)
		}
	}
}

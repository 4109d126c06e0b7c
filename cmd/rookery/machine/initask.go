package machine

import (
	"context"
	"crypto/x509"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"rookery"
	"rookery/cmd/node/directories"
	"rookery/cmd/node/objects"
	"rookery/cmd/node/settings"
	"rookery/cmd/rookery/cli"
)

// founding are the settings of a new cluster while they are put together:
// from a file, from flags, and from answers.
type founding struct {
	set  *settings.Cluster
	data string // the data directory
	// whole is that a settings file is given: what it leaves out is meant.
	whole bool
	term  *cli.Terminal // nil where nobody can be asked
}

// theDirectory is the name of the directory that init asks for.
const theDirectory = "main"

// step is one part of the settings: what is missing of it, the questions for
// it, and the test of the answers.
type step struct {
	// missing names the flag or setting of what is not given yet.
	missing func() string
	ask     func(ctx context.Context) error
	// test tries what is given; found says what it came upon.
	test func(ctx context.Context) (found string, err error)
}

// complete takes every step: what is missing is asked for and tried at once,
// and asked for again as long as it does not work.
func (f *founding) complete(ctx context.Context) error {
	steps := []step{f.domains()}
	if f.asksDirectory() {
		steps = append(steps, f.servers(), f.account(), f.base())
	}
	steps = append(steps, f.store(), f.bucket())
	var missing []string
	for _, s := range steps {
		if m := s.missing(); m != "" {
			missing = append(missing, m)
		}
	}
	switch {
	case len(missing) == 0 || f.term == nil && f.whole:
		return nil
	case f.term == nil:
		return cli.Usagef("there is no terminal to ask at; give %s, or -settings FILE", strings.Join(missing, "; "))
	}
	if f.set.Postmaster == "" && !f.whole {
		steps = append(steps, f.postmaster())
	}
	f.term.Say("What is asked for is tried at once. Ctrl-C ends; nothing is made before the end.")
	for _, s := range steps {
		if err := f.take(ctx, s); err != nil {
			return err
		}
	}
	return nil
}

func (f *founding) take(ctx context.Context, s step) error {
	for asked := s.missing() != ""; ; asked = true {
		if asked {
			if err := s.ask(ctx); err != nil {
				return err
			}
		}
		found, err := s.test(ctx)
		if err == nil {
			if found != "" {
				f.term.Say("  ok: %s", found)
			}
			return nil
		}
		if ctx.Err() != nil {
			return rookery.E("ask", rookery.KindUnknown, ctx.Err())
		}
		f.term.Say("  this does not work: %v", err)
	}
}

// into asks one question and keeps the answer.
func (f *founding) into(ctx context.Context, value *string, question, suggestion string) error {
	def := *value
	if def == "" {
		def = suggestion
	}
	answer, err := f.term.Ask(ctx, question, def)
	if err == nil {
		*value = answer
	}
	return err
}

func (f *founding) domains() step {
	return step{
		missing: func() string { return unless(len(f.set.Domains) > 0, "-domain (domains)") },
		ask: func(ctx context.Context) error {
			text := strings.Join(f.set.Domains, ",")
			err := f.into(ctx, &text, "Mail domains, like example.com, with commas between", "")
			f.set.Domains = list(text)
			return err
		},
		test: func(context.Context) (string, error) {
			if len(f.set.Domains) == 0 {
				return "", fmt.Errorf("at least one domain is needed")
			}
			for i, d := range f.set.Domains {
				n, err := rookery.NormalDomain(d)
				if err != nil || !strings.Contains(n, ".") || strings.HasPrefix(n, "[") {
					return "", fmt.Errorf("%q is not a mail domain; write it like example.com", d)
				}
				f.set.Domains[i] = n
			}
			return "", nil
		},
	}
}

// asksDirectory is that there is no directory but the one that is asked for.
func (f *founding) asksDirectory() bool {
	for name := range f.set.Directories {
		if name != theDirectory {
			return false
		}
	}
	return true
}

// change changes the directory.
func (f *founding) change(fn func(d *settings.Directory) error) error {
	d, ok := f.set.Directories[theDirectory]
	if !ok {
		d = settings.DefaultDirectory()
	}
	err := fn(&d)
	f.set.Directories[theDirectory] = d
	return err
}

func (f *founding) servers() step {
	var failed error
	return step{
		missing: func() string {
			return unless(len(f.set.Directories[theDirectory].URLs) > 0, "-directory (directories.main.urls)")
		},
		ask: func(ctx context.Context) error {
			return f.change(func(d *settings.Directory) error {
				if again, err := f.authority(ctx, &d.CAFile, failed); !again || err != nil {
					return err
				}
				text := strings.Join(d.URLs, ",")
				err := f.into(ctx, &text, "Directory servers, like ldaps://ldap.example.com (ldap:// is used with STARTTLS), "+
					"the preferred one first", "")
				d.URLs = list(text)
				d.StartTLS = slices.ContainsFunc(d.URLs, plainRemote) // never a password in the clear
				return err
			})
		},
		test: func(ctx context.Context) (string, error) {
			if len(f.set.Directories[theDirectory].URLs) == 0 {
				return "", fmt.Errorf("at least one server is needed")
			}
			g, err := directories.Reach(ctx, f.set, theDirectory)
			if failed = err; err != nil {
				return "", err
			}
			if g.Profile == "" {
				return "it answers", nil
			}
			return "it answers, and looks like profile " + g.Profile, nil
		},
	}
}

// authority asks for the file with the authority of a server's certificate,
// where the certificate is not trusted or the file that was named is no good.
// again says that the address is to be asked for, too: nobody is held to a file.
func (f *founding) authority(ctx context.Context, file *string, failed error) (again bool, err error) {
	bad := false
	if *file != "" {
		pem, err := os.ReadFile(*file)
		bad = err != nil || !x509.NewCertPool().AppendCertsFromPEM(pem)
	}
	if !bad && !directories.Untrusted(failed) {
		return true, nil
	}
	*file = ""
	err = f.into(ctx, file, "PEM file with the authority of the certificate, at this path on every node (empty: another server)", "")
	return *file == "", err
}

func (f *founding) postmaster() step {
	return step{
		missing: func() string { return unless(f.set.Postmaster != "", "-postmaster (postmaster)") },
		ask: func(ctx context.Context) error {
			return f.into(ctx, &f.set.Postmaster, "Address that gets the mail for postmaster (empty: as the directory has it)", "")
		},
		test: func(context.Context) (string, error) {
			if f.set.Postmaster == "" {
				return "", nil
			}
			a, err := rookery.ParseAddress(f.set.Postmaster)
			if err != nil {
				return "", fmt.Errorf("%w; write it like admin@example.com", err)
			}
			f.set.Postmaster = a.String()
			return "", nil
		},
	}
}

// plainRemote reports whether a URL would be unencrypted on a network.
func plainRemote(s string) bool {
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "ldap" {
		return false
	}
	ip := net.ParseIP(u.Hostname())
	return u.Hostname() != "localhost" && !ip.IsLoopback()
}

func (f *founding) account() step {
	return step{
		missing: func() string {
			d := f.set.Directories[theDirectory]
			return unless(d.BindDN != "" && d.Password != "" || f.whole && d.BindDN == "",
				"-bind-dn and -bind-password-file (directories.main.bind_dn, password)")
		},
		ask: func(ctx context.Context) error {
			return f.change(func(d *settings.Directory) (err error) {
				if err = f.into(ctx, &d.BindDN, "DN of the account that the server searches with", ""); err == nil {
					d.Password, err = f.term.Secret(ctx, "Its password", d.Password)
				}
				return err
			})
		},
		test: func(ctx context.Context) (string, error) {
			d := f.set.Directories[theDirectory]
			if !f.whole && (d.BindDN == "" || d.Password == "") {
				return "", fmt.Errorf("both are needed: an empty password would be an anonymous bind")
			}
			_, err := directories.SignIn(ctx, f.set, theDirectory)
			return "it signs in", err
		},
	}
}

func (f *founding) base() step {
	return step{
		missing: func() string {
			return unless(f.set.Directories[theDirectory].Base != "", "-base (directories.main.base)")
		},
		ask: func(ctx context.Context) error {
			g, err := directories.SignIn(ctx, f.set, theDirectory)
			if err != nil {
				f.term.Say("  the directory does not say what it holds: %v", err)
			}
			suggestion := ""
			if len(g.Bases) > 0 {
				suggestion = g.Bases[0]
			}
			return f.change(func(d *settings.Directory) error {
				if err := f.into(ctx, &d.Base, "DN below which users are searched", suggestion); err != nil {
					return err
				}
				return f.into(ctx, &d.Profile, "Profile: auto, openldap, ad or 389", "auto")
			})
		},
		test: func(ctx context.Context) (string, error) {
			d := f.set.Directories[theDirectory]
			if !slices.Contains([]string{"auto", "openldap", "ad", "389"}, d.Profile) {
				return "", fmt.Errorf("profile %q is unknown; use auto, openldap, ad or 389", d.Profile)
			}
			if d.Base == "" {
				return "", fmt.Errorf("a base is needed, like dc=example,dc=com")
			}
			return directories.Search(ctx, f.set, theDirectory)
		},
	}
}

func (f *founding) store() step {
	s := &f.set.Store
	var failed error
	return step{
		missing: func() string {
			return unless(s.Kind == "s3" && s.Endpoint != "" || s.Kind == "dir" && (s.Path != "" || f.whole),
				"-store (store.endpoint, or store.path)")
		},
		ask: func(ctx context.Context) error {
			if s.Kind == "s3" {
				if again, err := f.authority(ctx, &s.CAFile, failed); !again || err != nil {
					return err
				}
			}
			text := s.Endpoint + s.Path
			err := f.into(ctx, &text, "Object store: URL of an S3 service, or the path of a directory that all nodes share", "")
			SetStore(s, text)
			return err
		},
		test: func(ctx context.Context) (string, error) {
			switch {
			case s.Kind == "s3":
				failed = objects.Reach(ctx, s)
				return "it answers", failed
			case s.Path != "" && !filepath.IsAbs(s.Path) || s.Path == "" && !f.whole:
				return "", fmt.Errorf("%q is neither a URL like https://s3.example.com nor an absolute path", s.Path)
			}
			return objects.Try(ctx, s, f.data)
		},
	}
}

// SetStore takes a URL or a path.
func SetStore(s *settings.Store, text string) {
	if strings.Contains(text, "://") {
		s.Kind, s.Endpoint, s.Path = "s3", text, ""
	} else {
		s.Kind, s.Endpoint, s.Path = "dir", "", text
	}
}

func (f *founding) bucket() step {
	s := &f.set.Store
	return step{
		missing: func() string {
			return unless(s.Kind != "s3" || s.Bucket != "" && s.AccessKey != "" && s.SecretKey != "",
				"-bucket, -access-key and -secret-key-file (store.bucket, access_key, secret_key)")
		},
		ask: func(ctx context.Context) (err error) {
			for _, q := range []struct {
				value    *string
				question string
			}{{&s.Bucket, "Bucket, which exists"}, {&s.AccessKey, "Access key"}} {
				if err := f.into(ctx, q.value, q.question, ""); err != nil {
					return err
				}
			}
			if s.SecretKey, err = f.term.Secret(ctx, "Secret key", s.SecretKey); err != nil {
				return err
			}
			return f.into(ctx, &s.Region, "Region", "us-east-1")
		},
		test: func(ctx context.Context) (string, error) {
			switch {
			case s.Kind != "s3":
				return "", nil
			case s.Bucket == "" || s.AccessKey == "" || s.SecretKey == "":
				return "", fmt.Errorf("bucket, access key and secret key are needed")
			}
			return objects.Try(ctx, s, f.data)
		},
	}
}

func unless(have bool, name string) string {
	if have {
		return ""
	}
	return name
}

// list splits at commas and blanks.
func list(text string) []string {
	return strings.FieldsFunc(text, func(r rune) bool { return r == ',' || r == ' ' })
}

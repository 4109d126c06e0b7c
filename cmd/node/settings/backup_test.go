package settings

import (
	"strings"
	"testing"
)

func TestTheBackupLiesApart(t *testing.T) {
	s3 := Store{Kind: "s3", Endpoint: "https://s3.example.com", Bucket: "mail", AccessKey: "a", SecretKey: "s"}
	for name, c := range map[string]struct {
		live Store
		b    Backup
		same bool
	}{
		"the same bucket":             {s3, Backup{Kind: "s3", Endpoint: "https://S3.example.com:443/", Bucket: "mail"}, true},
		"another bucket":              {s3, Backup{Kind: "s3", Endpoint: "https://s3.example.com", Bucket: "backup"}, false},
		"another service":             {s3, Backup{Kind: "s3", Endpoint: "https://other.example.com", Bucket: "mail"}, false},
		"the default places":          {Store{Kind: "dir"}, Backup{Kind: "dir"}, false},
		"the same directory":          {Store{Kind: "dir", Path: "/srv/mail"}, Backup{Kind: "dir", Path: "/srv/mail/"}, true},
		"a directory in it":           {Store{Kind: "dir", Path: "/srv/mail"}, Backup{Kind: "dir", Path: "/srv/mail/backup"}, true},
		"it lies in the backup":       {Store{Kind: "dir", Path: "/srv/mail"}, Backup{Kind: "dir", Path: "/srv"}, true},
		"a directory beside it":       {Store{Kind: "dir", Path: "/srv/mail"}, Backup{Kind: "dir", Path: "/srv/mail2"}, false},
		"a bucket and a directory":    {s3, Backup{Kind: "dir", Path: "/srv"}, false},
		"the default's own directory": {Store{Kind: "dir"}, Backup{Kind: "dir", Path: "objects"}, true},
	} {
		set := DefaultBackup()
		c.b.Window, c.b.Nightly, c.b.TimeZone, c.b.AccessKey, c.b.SecretKey = set.Window, set.Nightly, set.TimeZone, "a", "s"
		refused := false
		c.b.validate(func(_, format string, _ ...any) {
			refused = refused || strings.Contains(format, "would lie in the store")
		}, &c.live)
		if refused != c.same {
			t.Errorf("%s: refused %v, want %v", name, refused, c.same)
		}
	}
}

func TestBackupTimesAreChecked(t *testing.T) {
	for key, spoil := range map[string]func(*Backup){
		"backup.window":    func(b *Backup) { b.Window = 0 },
		"backup.nightly":   func(b *Backup) { b.Nightly = "25:00" },
		"backup.time_zone": func(b *Backup) { b.TimeZone = "Mars/Base" },
		"backup.daily":     func(b *Backup) { b.Daily = -1 },
		"backup.kind":      func(b *Backup) { b.Kind = "tape" },
	} {
		b, named := DefaultBackup(), ""
		spoil(&b)
		b.validate(func(k, _ string, _ ...any) { named += k }, &Store{Kind: "dir"})
		if named != key {
			t.Errorf("%s: %q is named", key, named)
		}
	}
}

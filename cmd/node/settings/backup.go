package settings

import (
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"strings"
	"time"
	_ "time/tzdata" // nodes need no zone files
)

// Backup says where the archive is kept from which any mailbox can be brought back,
// and for how long.
type Backup struct {
	// Kind is "s3", "dir" (a directory, for one machine or a shared file system), or
	// "" for no backup.
	Kind string `toml:"kind" effect:"within 10 seconds"`
	// Path of the directory for kind "dir"; empty means backup in data_dir, a relative
	// one begins at data_dir. Nodes on several machines need a shared one.
	Path string `toml:"path" effect:"within 10 seconds"`
	// Endpoint is the URL of the S3 service, https://host[:port].
	Endpoint string `toml:"endpoint" effect:"within 10 seconds"`
	// Bucket must exist, and be another than the live store's.
	Bucket string `toml:"bucket" effect:"within 10 seconds"`
	// Region as the service calls it; may be empty.
	Region string `toml:"region" effect:"within 10 seconds"`
	// AccessKey names the identity at the service: another than the live store's, so
	// that who has one of them has not both.
	AccessKey string `toml:"access_key" effect:"within 10 seconds"`
	// SecretKey is sealed when set and never shown again.
	SecretKey string `toml:"secret_key" secret:"true" effect:"within 10 seconds"`
	// CAFile is a PEM file on every node for an endpoint with a private CA.
	CAFile string `toml:"ca_file" file:"true" effect:"within 10 seconds"`
	// Window is for how many days back any second can be restored, like 30, "30d" or
	// "720h"; 1 to 3650.
	Window Days `toml:"window" effect:"within a minute"`
	// MiBPerSecond bounds what each node writes to the backup store and reads from it, in
	// MiB a second; 0 is no bound. Restores keep to it as well.
	MiBPerSecond int `toml:"mib_per_second" effect:"within 10 seconds"`
	// Nightly is when images are made, HH:MM in time_zone.
	Nightly string `toml:"nightly" effect:"within a minute"`
	// TimeZone is that of schedules, like "Europe/Berlin".
	TimeZone string `toml:"time_zone" effect:"within a minute"`
	// Daily is how many days back one point of each day is kept, whatever the window.
	Daily int `toml:"daily" effect:"within a day"`
	// Weekly is for how many weeks one point of each is kept.
	Weekly int `toml:"weekly" effect:"within a day"`
	// Monthly is for how many months one point of each is kept.
	Monthly int `toml:"monthly" effect:"within a day"`
	// Yearly is for how many years one point of each is kept.
	Yearly int `toml:"yearly" effect:"within a day"`
}

// DefaultBackup has no store.
func DefaultBackup() Backup {
	return Backup{Window: 30, Nightly: "02:30", TimeZone: "UTC", Daily: 7, Weekly: 4, Monthly: 12}
}

// ParseBackup reads a file with the keys of the section backup alone.
func ParseBackup(doc []byte) (Backup, error) {
	b := DefaultBackup()
	if err := decodeStrict(doc, &b); err != nil {
		return b, err
	}
	var problems []string
	b.validate(func(key, format string, args ...any) {
		problems = append(problems, key+": "+fmt.Sprintf(format, args...))
	}, &Store{})
	if !b.On() {
		problems = append(problems, "kind: is not set; use s3 or dir")
	}
	if len(problems) > 0 {
		return b, errors.New(strings.Join(problems, "; "))
	}
	return b, nil
}

// On reports whether there is a backup.
func (b Backup) On() bool { return b.Kind != "" }

// Store is the backup store.
func (b *Backup) Store() Store {
	s := Store{
		Kind: b.Kind, Path: b.Path, Endpoint: b.Endpoint, Bucket: b.Bucket, Region: b.Region, AccessKey: b.AccessKey, SecretKey: b.SecretKey,
		CAFile: b.CAFile,
	}
	if s.Kind == "dir" && s.Path == "" {
		s.Path = "backup"
	}
	return s
}

// Zone is the time zone of schedules.
func (b *Backup) Zone() *time.Location {
	if zone, err := time.LoadLocation(b.TimeZone); err == nil {
		return zone
	}
	return time.UTC // Validate has refused it
}

// NightlyAt is the time of day at which images are made, since midnight.
func (b *Backup) NightlyAt() time.Duration {
	at, _ := time.Parse("15:04", b.Nightly) // Validate has checked it
	return time.Duration(at.Hour())*time.Hour + time.Duration(at.Minute())*time.Minute
}

func (b *Backup) validate(bad report, live *Store) {
	if b.On() {
		s := b.Store()
		s.validate(func(key, format string, args ...any) {
			bad("backup."+strings.TrimPrefix(key, "store."), format, args...)
		})
		if b.sameAs(live) {
			bad("backup."+map[string]string{"dir": "path", "s3": "bucket"}[b.Kind],
				"the backup would lie in the store that it is to save: name another place")
		}
	}
	if b.MiBPerSecond < 0 || b.MiBPerSecond > 10000 {
		bad("backup.mib_per_second", "%d is out of range; set it between 1 and 10000, or 0 for no bound", b.MiBPerSecond)
	}
	if b.Window < 1 || b.Window > 3650 {
		bad("backup.window", "%d is out of range; set it between 1 and 3650 days", b.Window)
	}
	if _, err := time.Parse("15:04", b.Nightly); err != nil {
		bad("backup.nightly", "%q is no time of day; write it like 02:30", b.Nightly)
	}
	if _, err := time.LoadLocation(b.TimeZone); err != nil || b.TimeZone == "Local" {
		bad("backup.time_zone", "%q is no time zone; write it like Europe/Berlin or UTC", b.TimeZone)
	}
	for key, n := range map[string]int{"daily": b.Daily, "weekly": b.Weekly, "monthly": b.Monthly, "yearly": b.Yearly} {
		if n < 0 || n > 400 {
			bad("backup."+key, "%d is out of range; set it between 0 and 400", n)
		}
	}
}

// sameAs reports whether the backup lies in the live store, or that in it.
func (b *Backup) sameAs(live *Store) bool {
	s := b.Store()
	if s.Kind != live.Kind {
		return false
	}
	if s.Kind == "s3" {
		return service(s.Endpoint) == service(live.Endpoint) && s.Bucket == live.Bucket
	}
	path := live.Path
	if path == "" {
		path = "objects"
	}
	return Overlap(s.Path, path)
}

// service is an endpoint as it is compared: without what means the same.
func service(endpoint string) string {
	u, err := url.Parse(strings.ToLower(endpoint))
	if err != nil {
		return endpoint
	}
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	return u.Hostname() + ":" + port
}

// Overlap reports whether one of two paths is the other or lies in it, as far as their
// texts say.
func Overlap(a, b string) bool { return within(a, b) || within(b, a) }

// within reports whether a path is another or lies in it.
func within(path, dir string) bool {
	rel, err := filepath.Rel(dir, path)
	return err == nil && rel != ".." && !strings.HasPrefix(rel, "../")
}

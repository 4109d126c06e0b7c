// Package machine holds the verbs that work on this machine's own node: begin a
// cluster, join one, serve, recover. It owns what they ask and print; what is done
// to a data directory is datadir's.
package machine

import (
	"errors"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"rookery/cmd/node/settings"
	"rookery/cmd/rookery/cli"
)

const initLong = `Begins a cluster on its first machine: makes the data directory named in the
node file with the cluster's CA, the node's identity and the encryption keys,
writes the settings, and tests the directory and the object store they name.

The settings come from a file, from flags, or from both. What neither gives is
asked for at the terminal and tried at once: the domains, the directory, the
account it is searched with (a real bind and search), and the object store. A
wrong answer can be corrected. Without a terminal what is missing is an error.
Secrets are read without echo, or from files; never from the command line.

It also writes the recovery kit: the keys without which nothing can be read.
Keep it off the cluster, in a safe place: who has it can read all mail.

Then start the node with rookery serve, mint a token for each further machine
with rookery token, and enter them with rookery join.

A sample of the settings is printed by rookery config sample.`

// initFlags are what init is called with.
type initFlags struct {
	config, settings, kit                                            *string
	domain, postmaster, directory, directoryCA, bindDN, bindPassword *string
	base, profile                                                    *string
	store, storeCA, bucket, region, accessKey, secretKey             *string
}

func newInitFlags(f *pflag.FlagSet) initFlags {
	return initFlags{
		config:       f.String("config", "", "path of the node file"),
		settings:     f.String("settings", "", "path of the settings (- is standard input)"),
		kit:          f.String("kit", "rookery-recovery-kit.json", "where to write the recovery kit"),
		domain:       f.String("domain", "", "mail domains, with commas between"),
		postmaster:   f.String("postmaster", "", "address that gets the mail for postmaster in every domain"),
		directory:    f.String("directory", "", "URLs of the directory's servers, with commas between"),
		directoryCA:  f.String("directory-ca", "", "PEM file, on every node, with the authority of their certificates"),
		bindDN:       f.String("bind-dn", "", "account that the directory is searched with"),
		bindPassword: f.String("bind-password-file", "", "file that holds its password"),
		base:         f.String("base", "", "DN below which users are searched"),
		profile:      f.String("profile", "", "profile of the directory: auto, openldap, ad or 389"),
		store:        f.String("store", "", "object store: URL of an S3 service, or the path of a directory that all nodes share"),
		storeCA:      f.String("store-ca", "", "PEM file, on every node, with the authority of its certificate"),
		bucket:       f.String("bucket", "", "bucket of the S3 service, which must exist"),
		region:       f.String("region", "", "region as the S3 service calls it"),
		accessKey:    f.String("access-key", "", "identity at the S3 service"),
		secretKey:    f.String("secret-key-file", "", "file that holds its secret key"),
	}
}

// founding reads the settings file and the flags over it.
func (i *initFlags) founding(data string) (*founding, error) {
	set := settings.Default()
	f := &founding{set: &set, data: data, whole: *i.settings != ""}
	if f.whole {
		doc, err := cli.ReadInput(*i.settings)
		if err != nil {
			return nil, err
		}
		if set, err = settings.Parse(doc); err != nil {
			return nil, err
		}
	}
	if *i.domain != "" {
		set.Domains = list(*i.domain)
	}
	if *i.postmaster != "" {
		set.Postmaster = *i.postmaster
	}
	if *i.store != "" {
		if SetStore(&set.Store, *i.store); set.Store.Kind == "dir" && !filepath.IsAbs(set.Store.Path) {
			return nil, cli.Usagef("-store %s: it is neither a URL like https://s3.example.com nor an absolute path that all nodes share", *i.store)
		}
	}
	err := f.change(func(d *settings.Directory) error {
		if *i.directory != "" {
			d.URLs = list(*i.directory)
			d.StartTLS = slices.ContainsFunc(d.URLs, plainRemote)
		}
		return errors.Join(Override(&d.CAFile, *i.directoryCA), Override(&d.BindDN, *i.bindDN), TakeFile(&d.Password, *i.bindPassword),
			Override(&d.Base, *i.base), Override(&d.Profile, *i.profile))
	})
	if d := set.Directories[theDirectory]; len(d.URLs) == 0 && f.whole && d.BindDN+d.Base == "" {
		delete(set.Directories, theDirectory) // none was named
	}
	s := &set.Store
	return f, errors.Join(err, Override(&s.CAFile, *i.storeCA), Override(&s.Bucket, *i.bucket), Override(&s.Region, *i.region),
		Override(&s.AccessKey, *i.accessKey), TakeFile(&s.SecretKey, *i.secretKey))
}

// Override takes the value of a flag that was given.
func Override(into *string, flag string) error {
	if flag != "" {
		*into = flag
	}
	return nil
}

// TakeFile takes a secret from the file that a flag names, if it was given.
func TakeFile(into *string, path string) error {
	if path == "" {
		return nil
	}
	b, err := cli.ReadInput(path)
	*into = strings.TrimRight(string(b), "\r\n")
	return err
}

// Init is rookery init.
func Init(s *cli.Shell) *cobra.Command {
	v := &cobra.Command{
		Use: "init -config FILE", Short: "begin a cluster on its first machine", Long: initLong, Args: cobra.ExactArgs(0),
		Example: "  rookery init -config /etc/rookery/rookery.toml\n" +
			"  rookery init -config /etc/rookery/rookery.toml -settings settings.toml -kit /root/rookery-recovery-kit.json",
		Annotations: cli.Exits("4 there is a cluster, or another rookery init is at work", "5 the directory or the object store does not answer"),
	}
	i := newInitFlags(v.Flags())
	asJSON := v.Flags().Bool("json", false, "print JSON when it is done")
	v.RunE = func(c *cobra.Command, _ []string) error {
		if *i.config == "" {
			return cli.Usagef("needs -config FILE")
		}
		return begin(c.Context(), s, i, *asJSON)
	}
	return v
}

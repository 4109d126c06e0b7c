package dev

import (
	"errors"
	"fmt"
	"path/filepath"
	"sync"

	"github.com/spf13/cobra"

	"rookery"
	"rookery/cmd/rookery/cli"
	"rookery/directory/embedded"
)

// people is the embedded directory, which may be taken away and brought back.
type people struct {
	mu     sync.Mutex
	open   func() (*embedded.Server, error)
	server *embedded.Server // nil while it is away
}

func (p *people) start() (err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.server != nil {
		return rookery.E("start directory", rookery.KindConflict, errors.New("it runs already"))
	}
	p.server, err = p.open()
	return err
}

func (p *people) stop() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.server == nil {
		return rookery.E("stop directory", rookery.KindConflict, errors.New("it is away already"))
	}
	s := p.server
	p.server = nil
	return s.Close()
}

// order does what rookery dev directory asks for.
func (p *people) order(what string) error {
	switch what {
	case "stop":
		return p.stop()
	case "start":
		return p.start()
	}
	return rookery.E("order directory", rookery.KindNotFound, fmt.Errorf("%q is neither stop nor start", what))
}

// directoryVerb is rookery dev directory.
func directoryVerb(s *cli.Shell, data *string, asJSON *bool) *cobra.Command {
	v := &cobra.Command{
		Use: "directory", Short: "take the LDAP directory away, and bring it back",
		Example: "  rookery dev directory stop -data ./rookery-data\n  rookery dev directory start -data ./rookery-data",
	}
	for _, x := range []struct{ order, short string }{
		{"stop", "take the directory away: mail for known people goes on"}, {"start", "bring the directory back"},
	} {
		v.AddCommand(&cobra.Command{
			Use: x.order, Short: x.short, Args: cobra.ExactArgs(0), Example: "  rookery dev directory " + x.order + " -data ./rookery-data",
			Annotations: cli.Exits("4 it is so already", "5 rookery dev does not run on the directory"),
			RunE: func(c *cobra.Command, _ []string) error {
				dir, err := filepath.Abs(*data)
				if err != nil {
					return rookery.E("find data directory", rookery.KindInvalid, err)
				}
				return devOrder(c.Context(), s, dir, "directory", x.order, *asJSON)
			},
		})
	}
	return cli.Family(v)
}

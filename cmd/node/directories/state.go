package directories

// Trouble gives the last error of each directory of which no server can be used.
func (p *Directories) Trouble() map[string]error {
	g, err := p.begin()
	if err != nil {
		return map[string]error{"settings": err}
	}
	defer g.users.Done()
	bad := map[string]error{}
	for _, d := range g.opened {
		var last error
		up := false
		for _, h := range d.Health() {
			up = up || h.Err == nil
			last = h.Err
		}
		if !up {
			bad[d.Name()] = last
		}
	}
	return bad
}

// Refused are the ids of the directories that refuse the service password.
func (p *Directories) Refused() (ids []string) {
	g, err := p.begin()
	if err != nil {
		return nil
	}
	defer g.users.Done()
	for _, d := range g.opened {
		if d.Directory.Refused() {
			ids = append(ids, d.By.ID)
		}
	}
	return ids
}

// Stats are the numbers of the directories.
type Stats struct {
	// Hits and Misses are of what was remembered.
	Hits, Misses uint64
	Servers      []Server
}

// Server is one server of a directory.
type Server struct {
	Directory, URL string
	Up             bool
}

// Stats gives the numbers of now.
func (p *Directories) Stats() (s Stats) {
	p.mu.Lock()
	defer p.mu.Unlock()
	s.Hits, s.Misses = p.hits, p.misses
	if p.current == nil {
		return s
	}
	for _, d := range p.current.opened {
		hits, misses := d.Cache.Stats()
		s.Hits, s.Misses = s.Hits+hits, s.Misses+misses
		for _, h := range d.Health() {
			s.Servers = append(s.Servers, Server{d.Name(), h.URL, h.Up})
		}
	}
	return s
}

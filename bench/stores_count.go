package main

// count finds out what the rows ask of the server, on connections of their own that are listened to.
func (p storesPlan) count(s *server, t storesTable) error {
	tap, err := newTap(s)
	if err != nil {
		return err
	}
	defer tap.close()
	both, err := s.open(tap.way)
	if err != nil {
		return err
	}
	defer both.close()
	rows, err := p.rows(both, cycled)
	if err != nil {
		return err
	}
	for i, r := range rows {
		for turn := range 4 { // the first time prepares statements and opens connections
			if r.prepare != nil {
				if err := r.prepare(); err != nil {
					return err
				}
			}
			trips := tap.trips.Load()
			asked, err := s.asked()
			if err != nil {
				return err
			}
			for i := range r.n {
				r.op(i)
			}
			now, err := s.asked()
			if err != nil {
				return err
			}
			m := measured{asked: (now - asked) / float64(r.n), trips: float64(tap.trips.Load()-trips) / float64(r.n)}
			if turn > 1 { // polls may have come in between
				m.asked, m.trips = min(m.asked, t[i].asked), min(m.trips, t[i].trips)
			}
			t[i].asked, t[i].trips = m.asked, m.trips
		}
	}
	return nil
}

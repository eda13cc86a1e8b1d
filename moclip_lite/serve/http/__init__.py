"""HTTP beneath the routes: what a request may hold, how much of it is read, and what is answered."""

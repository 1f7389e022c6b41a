"""What provider authors and this project test with: it is shipped, and no server imports it."""

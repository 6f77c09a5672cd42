"""Makes a blind quiz from stored trials and true renders: pictures, sheets, a page to answer, and a key apart."""

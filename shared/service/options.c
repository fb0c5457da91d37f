int service_placeholder(void);
int service_placeholder(void) { return 0; }

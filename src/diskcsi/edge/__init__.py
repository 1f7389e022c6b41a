"""gRPC's words: the only place of the driver that knows grpclib and the generated code."""

"""A local server that speaks the ECS OpenAPI for disks, and turns an attach into a real device."""

"""What holds for the tests of both packages."""

# The folder `mockcloud` has the name of the package inside it: without this, pytest would take
# the folder for the package when it imports the tests there.
import mockcloud  # noqa: F401

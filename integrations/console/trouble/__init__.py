"""What people of the console read where Django answers by itself: a form that came too late, an error of ours."""
